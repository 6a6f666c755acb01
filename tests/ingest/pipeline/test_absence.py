"""Absence is proven by Stripe's own word from the account that owns the event; all else waits."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import stripe_events as events
from false_answers import (
    HTML,
    MISSING,
    OTHERS,
    RESTRICTED,
    UNRECOGNIZED,
    answer,
    false_answers,
    refusal,
)
from fetch_world import FetchWorld, mirrored, open_fetch_world
from ingest_bench import Ingest
from structlog.testing import capture_logs

from mainstem.ingest.accounts.storage import ProviderAccount, accept, agree, list_accounts
from mainstem.sandbox.stand_ins.faults import Fault, Kind
from mainstem.sandbox.stripe.state.account import ACCOUNT_ID

# The SDK hands httpx its form in a way that httpx deprecates; only the shop posts any.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

KINDS = ("customer", "product", "price", "subscription", "invoice")
NAMES = tuple(false_answers("customer"))
EVENTS = "SELECT status, failures, last_error FROM inbox.event ORDER BY id"


@pytest.fixture
async def stripe(tmp_path: Path) -> Any:
    async with open_fetch_world(tmp_path) as opened:
        yield opened


@pytest.fixture(autouse=True)
async def _agreed(ingest: Ingest) -> None:
    async with ingest.pool.transaction() as connection:
        await agree(connection, "stripe", [ProviderAccount("default", (), "sk_test_1")])


def hint(kind: str, object_id: str, **more: Any) -> bytes:
    name = "customer.subscription" if kind == "subscription" else kind
    return events.event(f"{name}.updated", {"id": object_id, "object": kind}, **more)


async def work(ingest: Ingest, stripe: FetchWorld, *, times: int = 1, **more: Any) -> list[dict[str, Any]]:
    """Work off what is due some times, an hour apart; return the events."""
    pipeline = ingest.pipeline(stripe.source(ingest.pool), failures_to_dead=1, **more)
    for _ in range(times):
        while await pipeline.work():
            pass
        ingest.clock.move(hours=2)
    return await ingest.rows(EVENTS)


async def sold(ingest: Ingest, stripe: FetchWorld) -> dict[str, str]:
    """Have the mirror know one object of each kind; return their ids."""
    subscription = await stripe.shop.subscription()
    await ingest.record(*stripe.signed())
    await work(ingest, stripe)
    (item,) = stripe.world.stand_in.holds()["subscription"][0]["items"]["data"]
    return {
        "customer": str(subscription.customer),
        "product": item["price"]["product"],
        "price": item["price"]["id"],
        "subscription": subscription.id,
        "invoice": str(subscription.latest_invoice),
    }


def errors(logs: Sequence[Any], event: str) -> list[Any]:
    return [one for one in logs if one["event"] == event and one["log_level"] == "error"]


@pytest.mark.parametrize("kind", KINDS)
async def test_answer_that_proves_nothing_is_a_failure_that_passes(
    ingest: Ingest, stripe: FetchWorld, kind: str
) -> None:
    ids = await sold(ingest, stripe)
    before = await mirrored(ingest)
    for number, (status, body) in enumerate(false_answers(kind).values()):
        await ingest.record(hint(kind, ids[kind], one=f"evt_false_{number}"))
        stripe.world.faults.add(answer(f"{ids[kind]}$", status, body))
        (*_, event) = await work(ingest, stripe)
        assert (event["status"], event["failures"]) == ("received", 1), (status, body)
        assert HTML not in event["last_error"]
        assert await mirrored(ingest) == before
    await work(ingest, stripe)
    assert set((await ingest.statuses()).values()) <= {"done", "ignored"}
    assert await mirrored(ingest) == stripe.truth()


async def test_answer_that_breaks_off_is_a_failure_that_passes(ingest: Ingest, stripe: FetchWorld) -> None:
    ids = await sold(ingest, stripe)
    await ingest.record(hint("customer", ids["customer"]))
    stripe.world.faults.add(Fault("stripe", Kind.TRUNCATE, path=ids["customer"]))
    (*_, event) = await work(ingest, stripe)
    assert (event["status"], event["failures"]) == ("received", 1)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, MISSING),
        (404, HTML),
        (404, UNRECOGNIZED),
        (400, MISSING),
        (200, HTML),
        (200, '{"data": []}'),
        (200, '{"object": "list", "data": [], "has_more": false}'),
    ],
)
@pytest.mark.parametrize("kind", ["subscription", "invoice"])
async def test_page_that_is_not_there_buries_no_object(
    ingest: Ingest, stripe: FetchWorld, kind: str, status: int, body: str
) -> None:
    object_id = await _long(stripe, kind)
    path = "/v1/subscription_items" if kind == "subscription" else "/lines"
    await ingest.record(hint(kind, object_id))
    stripe.world.faults.add(answer(path, status, body))
    (*_, event) = await work(ingest, stripe)
    assert (event["status"], event["failures"]) == ("received", 1)
    assert await ingest.table(kind) == []
    assert (await work(ingest, stripe))[-1]["status"] == "done"


@pytest.mark.parametrize("kind", ["subscription", "invoice"])
async def test_page_with_parts_of_another_object_is_a_failure_that_passes(
    ingest: Ingest, stripe: FetchWorld, kind: str
) -> None:
    object_id = await _long(stripe, kind)
    part = (
        events.item("si_other", subscription="sub_other")
        if kind == "subscription"
        else events.line("il_other", invoice="in_other")
    )
    body = json.dumps({"object": "list", "data": [part], "has_more": False, "url": "/v1/x"})
    path = "/v1/subscription_items" if kind == "subscription" else "/lines"
    await ingest.record(hint(kind, object_id))
    stripe.world.faults.add(answer(path, 200, body))
    (*_, event) = await work(ingest, stripe)
    assert (event["status"], event["failures"]) == ("received", 1)
    assert await ingest.table(kind) == []


async def test_object_with_parts_of_another_is_a_failure_that_passes(
    ingest: Ingest, stripe: FetchWorld
) -> None:
    ids = await sold(ingest, stripe)
    items = [events.item("si_other", subscription="sub_other")]
    body = json.dumps(events.subscription(ids["subscription"], items=items))
    await ingest.record(hint("subscription", ids["subscription"]))
    stripe.world.faults.add(answer(ids["subscription"], 200, body))
    (*_, event) = await work(ingest, stripe)
    assert (event["status"], event["failures"]) == ("received", 1)
    assert await mirrored(ingest) == stripe.truth()


@pytest.mark.parametrize("param", ["id", None, "customer"])
async def test_missing_object_is_buried_once_its_account_is_proven(
    ingest: Ingest, stripe: FetchWorld, param: str | None
) -> None:
    ids = await sold(ingest, stripe)
    await ingest.record(hint("customer", ids["customer"]))
    body = refusal(f"No such customer: '{ids['customer']}'", code="resource_missing", param=param)
    stripe.world.faults.add(answer(ids["customer"], 404, body))
    (*_, event) = await work(ingest, stripe)
    assert event["status"] == "done"
    (row,) = await ingest.table("customer")
    assert (row["deleted"], row["email"]) == (True, "ada@example.com")
    assert await provider_id(ingest) == ACCOUNT_ID


async def test_missing_objects_of_one_batch_are_proven_by_one_answer(
    ingest: Ingest, stripe: FetchWorld
) -> None:
    await ingest.record(*(hint("price", f"price_never_{number}") for number in range(5)))
    await work(ingest, stripe)
    assert [row["deleted"] for row in await ingest.table("price")] == [True] * 5
    asked = [one["path"] for one in stripe.world.stand_in.received()]
    assert asked.count("/v1/account") == 1
    assert asked[-1] == "/v1/account"


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, HTML), (401, RESTRICTED), (403, HTML), (500, MISSING), (200, '{"id": "acct_1"}')],
)
async def test_missing_object_waits_while_its_account_is_not_proven(
    ingest: Ingest, stripe: FetchWorld, status: int, body: str
) -> None:
    ids = await sold(ingest, stripe)
    await stripe.shop.sdk.v1.customers.delete_async(ids["customer"])
    await ingest.record(hint("price", "price_never_seen"))
    stripe.world.faults.add(answer("^/v1/account$", status, body))
    (*_, event) = await work(ingest, stripe)
    assert (event["status"], event["failures"]) == ("received", 1)
    assert not any(row["deleted"] for row in await ingest.table("price"))
    assert (await work(ingest, stripe))[-1]["status"] == "done"


async def test_restricted_key_buries_with_a_warning_that_names_the_permission(
    ingest: Ingest, stripe: FetchWorld
) -> None:
    await ingest.record(hint("price", "price_never_seen"))
    stripe.world.faults.add(answer("^/v1/account$", 403, RESTRICTED))
    with capture_logs() as logs:
        (event,) = await work(ingest, stripe)
    assert event["status"] == "done"
    (warning,) = [one for one in logs if one["event"] == "account.check_refused"]
    assert (warning["log_level"], warning["permission"]) == ("warning", "rak_accounts_kyc_basic_read")
    assert await provider_id(ingest) is None


@pytest.mark.parametrize("body", [MISSING, None])
async def test_subscription_is_never_buried_and_its_absence_alarms(
    ingest: Ingest, stripe: FetchWorld, body: str | None
) -> None:
    ids = await sold(ingest, stripe)
    before = await ingest.products()
    given = ids["subscription"]
    deleted = json.dumps({"id": given, "object": "subscription", "deleted": True})
    stripe.world.faults.add(answer(given, 404 if body else 200, body or deleted, remaining=3))
    await ingest.record(hint("subscription", given))
    with capture_logs() as logs:
        (*_, event) = await work(ingest, stripe, times=3)
    assert (event["status"], event["failures"]) == ("received", 3)
    assert [one["object_id"] for one in errors(logs, "subscription.vanished")] == [given] * 3
    (row,) = await ingest.table("subscription")
    assert row["deleted"] is False
    assert await ingest.products() == before
    assert (await work(ingest, stripe))[-1]["status"] == "done"


async def test_key_of_another_account_stops_the_account_before_it_buries(
    ingest: Ingest, stripe: FetchWorld
) -> None:
    ids = await sold(ingest, stripe)
    await record_id(ingest, ACCOUNT_ID)
    await ingest.record(hint("customer", ids["customer"]), hint("product", ids["product"]))
    stripe.world.faults.add(answer(ids["customer"], 404, MISSING))
    stripe.world.faults.add(answer("^/v1/account$", 200, json.dumps({"id": OTHERS, "object": "account"})))
    before = await mirrored(ingest)
    with capture_logs() as logs:
        (*_, first, second) = await work(ingest, stripe)
    assert (first["status"], second["status"]) == ("received", "received")
    assert await mirrored(ingest) == before
    (stop,) = errors(logs, "account.stopped")
    assert (stop["account"], OTHERS in stop["problem"]) == ("default", True)
    (account,) = await accounts(ingest)
    assert (account["provider_id"], account["problem"]) == (ACCOUNT_ID, stop["problem"])


async def provider_id(ingest: Ingest) -> str | None:
    (account,) = await accounts(ingest)
    given: str | None = account["provider_id"]
    return given


async def accounts(ingest: Ingest) -> list[dict[str, Any]]:
    async with ingest.pool.transaction() as connection:
        return await list_accounts(connection)


async def record_id(ingest: Ingest, given: str) -> None:
    async with ingest.pool.transaction() as connection:
        await accept(connection, "stripe", "default", given)


async def _long(stripe: FetchWorld, kind: str) -> str:
    """Return an object whose nested list has more than ten entries."""
    first = await stripe.shop.price(100)
    items: list[Any] = [{"price": first.id}]
    items += [{"price": (await stripe.shop.price(100 + number)).id} for number in range(1, 11)]
    customer = await stripe.shop.customer()
    params: Any = {"customer": customer.id, "items": items}
    subscription = await stripe.shop.sdk.v1.subscriptions.create_async(params)
    return subscription.id if kind == "subscription" else str(subscription.latest_invoice)
