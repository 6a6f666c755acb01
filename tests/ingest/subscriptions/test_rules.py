"""Rule sets as data, and the row that says which one is active."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
import stripe_events as events
from ingest_bench import Ingest
from stripe_events import START

from mainstem.common.errors import ConflictError
from mainstem.common.queue.lease import Lease
from mainstem.ingest.inbox import claims
from mainstem.ingest.inbox.scheduling import SUSPICIOUS_CLAIMS, Queue
from mainstem.ingest.settings import Settings
from mainstem.ingest.subscriptions.language import RuleSet, decode, encode
from mainstem.ingest.subscriptions.sets import CTMS, MAINSTEM, SETS
from mainstem.ingest.subscriptions.storage import (
    RulesUnusableError,
    activate,
    find_active,
    initialise,
    read_active,
)

DIGESTS = {
    "mainstem": "c1fdc340b1c0427cf361d7b009afb7f1f39d4349c97baa38fed806ae6e006839",
    "ctms-1.1.0": "47ffdcee38cf87f7dacaa4007c83e96c0c59579a94541283d4000fd32e804f7f",
}
"""The names stand for this data for ever: changed data needs a new name."""

FUTURE = msgspec.structs.replace(MAINSTEM, signals=("cancel_at",))
"""The set of another release under the same name."""

SUBSCRIBED = (
    events.event("customer.created", events.customer()),
    events.event("customer.subscription.created", events.subscription()),
)
HISTORY = """
SELECT name, digest, completed_at IS NOT NULL AS is_complete FROM subscription.rule_activation ORDER BY id
"""


def test_each_built_in_name_stands_for_one_digest() -> None:
    assert {name: rules.digest for name, rules in SETS.items()} == DIGESTS


def test_setting_knows_the_built_in_names_and_the_default() -> None:
    properties = Settings.model_json_schema()["properties"]
    (setting,) = [one for one in properties.values() if set(one.get("enum", ())) == SETS.keys()]
    assert setting["default"] == MAINSTEM.name


@pytest.mark.parametrize("rules", SETS.values(), ids=SETS)
def test_set_survives_its_json_and_the_order_of_its_members(rules: RuleSet) -> None:
    members = json.loads(encode(rules))
    shuffled = json.dumps(dict(reversed(list(members.items()))))
    assert decode(shuffled) == rules
    assert decode(shuffled).digest == rules.digest


@pytest.mark.parametrize(
    "change",
    [
        {"further": True},
        {"customers": "oldest"},
        {"signals": ["pause_collection"]},
        {"unknown": {"holds": True}},
        {"name": None},
        {"statuses": {"active": {**msgspec.to_builtins(MAINSTEM.unknown), "since": ["paid_at"]}}},
        {"unknown": {**msgspec.to_builtins(MAINSTEM.unknown), "segment": None}},
        {"unknown": {**msgspec.to_builtins(MAINSTEM.unknown), "further": 1}},
    ],
)
def test_data_of_a_later_language_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(json.dumps({**json.loads(encode(MAINSTEM)), **change}))


async def test_first_of_several_that_start_at_once_initialises_the_active_set(ingest: Ingest) -> None:
    await ingest.rows("DELETE FROM subscription.rule_activation")

    async def start(rules: RuleSet) -> str:
        async with ingest.pool.transaction() as connection:
            return (await initialise(connection, rules, ingest.clock.now())).digest

    found = await asyncio.gather(*(start(rules) for rules in (CTMS, MAINSTEM, CTMS, MAINSTEM)))
    assert len(set(found)) == 1
    assert len(await ingest.rows(HISTORY)) == 1


async def test_activation_keeps_the_history_and_repeats_nothing(ingest: Ingest) -> None:
    for name in ("ctms-1.1.0", "ctms-1.1.0", "mainstem"):
        await ingest.activate(name)
    assert [(row["name"], row["is_complete"]) for row in await ingest.rows(HISTORY)] == [
        ("mainstem", False),
        ("ctms-1.1.0", True),
        ("mainstem", True),
    ]


async def test_name_with_other_data_than_before_is_refused(ingest: Ingest) -> None:
    with pytest.raises(ConflictError, match="give changed rules a new name"):
        async with ingest.pool.transaction() as connection:
            await activate(connection, FUTURE, ingest.clock.now())
    assert len(await ingest.rows(HISTORY)) == 1


async def put_active(ingest: Ingest, rules: dict[str, Any], digest: str) -> None:
    await ingest.rows(
        "INSERT INTO subscription.rule_activation (name, digest, rules, activated_at)"
        " VALUES ($1, $2, $3, $4)",
        rules["name"],
        digest,
        json.dumps(rules),
        ingest.clock.now(),
    )


async def test_data_of_the_row_decides_and_not_the_built_in_set_of_its_name(ingest: Ingest) -> None:
    await put_active(ingest, json.loads(encode(FUTURE)), FUTURE.digest)
    async with ingest.pool.transaction() as connection:
        assert await read_active(connection) == FUTURE
    leaving = events.subscription(cancel_at_period_end=True, canceled_at=START)
    await ingest.take(SUBSCRIBED[0], events.event("customer.subscription.created", leaving))
    assert await ingest.segments() == {("fxa-1", "prod_1"): "active"}


@pytest.mark.parametrize(
    ("change", "digest"), [({"further": True}, FUTURE.digest), ({}, "0" * 64)], ids=["unknown", "damaged"]
)
async def test_events_wait_while_the_active_set_is_not_understood(
    ingest: Ingest, change: dict[str, Any], digest: str
) -> None:
    await put_active(ingest, {**json.loads(encode(MAINSTEM)), **change}, digest)
    await ingest.record(*SUBSCRIBED)
    for _ in range(4):
        with pytest.raises(RulesUnusableError):
            await ingest.pipeline(failures_to_dead=1).work()
    rows = await ingest.rows("SELECT status, claims, failures, lease_token FROM inbox.event")
    assert rows == [{"status": "received", "claims": 0, "failures": 0, "lease_token": None}] * 2
    assert await ingest.products() == []
    await ingest.activate("ctms-1.1.0")
    await ingest.work_off()
    assert await ingest.segments() == {("fxa-1", "prod_1"): "active"}


async def test_nothing_is_derived_before_a_set_is_active(ingest: Ingest) -> None:
    await ingest.rows("DELETE FROM subscription.rule_activation")
    await ingest.record(*SUBSCRIBED)
    with pytest.raises(RulesUnusableError, match="no rule set is active"):
        await ingest.pipeline().work()
    assert set((await ingest.statuses()).values()) == {"received"}


async def test_switch_waits_for_the_commits_under_the_former_set(ingest: Ingest) -> None:
    async def switch() -> None:
        async with ingest.pool.transaction() as connection:
            await activate(connection, CTMS, ingest.clock.now())

    async with ingest.pool.transaction() as connection:
        await read_active(connection)
        switching = asyncio.create_task(switch())
        waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not switching.done() and not await ingest.rows(waiting):  # noqa: ASYNC110 -- Postgres sets no event
            await asyncio.sleep(0.01)
        found = await find_active(connection)
        assert found is not None
        assert found.name == "mainstem"
    await switching
    assert [row["name"] for row in await ingest.rows(HISTORY)] == ["mainstem", "ctms-1.1.0"]


async def test_walk_announces_only_owners_whose_products_changed(ingest: Ingest) -> None:
    trial = events.subscription("sub_2", of="cus_2", items=[events.item("si_2")], status="trialing")
    await ingest.take(
        *SUBSCRIBED,
        events.event("customer.created", events.customer("cus_2", owner="fxa-2")),
        events.event("customer.subscription.created", trial),
    )
    await ingest.rows("DELETE FROM outbox.entry")
    await ingest.activate("ctms-1.1.0")
    assert await ingest.announced() == ["fxa_id:fxa-2"]
    rows = await ingest.rows(
        "SELECT owner_value, segment, rules FROM subscription.v1_product_subscription ORDER BY owner_value"
    )
    assert rows == [
        {"owner_value": "fxa-1", "segment": "active", "rules": "ctms-1.1.0"},
        {"owner_value": "fxa-2", "segment": "other", "rules": "ctms-1.1.0"},
    ]


async def test_walk_reaches_owners_that_have_products_and_no_customer_any_more(ingest: Ingest) -> None:
    await ingest.take(*SUBSCRIBED)
    await ingest.rows("DELETE FROM subscription.owner")
    await ingest.activate("ctms-1.1.0")
    assert await ingest.products() == []


async def test_pause_and_its_reason_are_mirrored(ingest: Ingest) -> None:
    details = {
        "paused": {
            "type": "subscription",
            "subscription": {"type": "trial_end_without_payment_method"},
            "transitioned_at": START + 7,
        }
    }
    paused = events.subscription(status="paused", status_details=details)
    await ingest.take(SUBSCRIBED[0], events.event("customer.subscription.created", paused))
    (row,) = await ingest.table("subscription")
    assert (row["paused_reason"], row["paused_at"].timestamp()) == (
        "trial_end_without_payment_method",
        START + 7,
    )
    (product,) = await ingest.products()
    assert (product["segment"], product["changed"].timestamp()) == ("other", START + 7)
    resumed = events.event(
        "customer.subscription.resumed", events.subscription(status_details=None), at=START + 9
    )
    await ingest.take(resumed)
    assert (await ingest.table("subscription"))[0]["paused_reason"] is None
    assert await ingest.segments() == {("fxa-1", "prod_1"): "active"}


async def test_claims_of_a_release_that_understands_go_on_beside_one_that_does_not(ingest: Ingest) -> None:
    """A claim that is given back counts as none, so that no event is taken for one that ends workers."""
    await put_active(ingest, {**json.loads(encode(MAINSTEM)), "further": True}, "0" * 64)
    await ingest.record(*SUBSCRIBED)
    for _ in range(SUSPICIOUS_CLAIMS + 1):
        with pytest.raises(RulesUnusableError):
            await ingest.pipeline().work()
    async with ingest.pool.transaction() as connection:
        queue = Queue("stripe", ["default"])
        assert len(await claims.claim(connection, Lease("other", 60), queue, ingest.clock.now(), 9)) == 2
