"""Connected accounts in fetch mode, against the stand-in for Stripe: read with the parent's key."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import stripe_events as events
from false_answers import MISSING, OTHERS, answer
from fetch_world import FetchWorld, open_fetch_world
from ingest_bench import Ingest
from stripe_shop import API_KEY, Shop

from mainstem.ingest.accounts.storage import ProviderAccount
from mainstem.ingest.pipeline.fetches import FetchSource
from mainstem.ingest.providers.protocol import FetchError
from mainstem.sandbox.stripe.delivery.events import rendered

# The SDK hands httpx its form in a way that httpx deprecates; only the shop posts any.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

PLATFORM = ProviderAccount("default", ("whsec",), API_KEY)


@pytest.fixture
async def stripe(tmp_path: Path) -> AsyncIterator[FetchWorld]:
    async with open_fetch_world(tmp_path) as opened:
        yield opened


def connected(stripe: FetchWorld, account_id: str) -> Shop:
    """Connect an account, and return what sells there."""
    stripe.world.stand_in.connect(account_id)
    return Shop(stripe.world, stripe.world.client(account=account_id))


def hint(one: str, **more: Any) -> bytes:
    return events.event("customer.updated", {"id": one, "object": "customer"}, one=f"evt_{one}", **more)


async def work_off(ingest: Ingest, source: FetchSource) -> None:
    pipeline = ingest.pipeline(source)
    while await pipeline.work():
        pass


async def test_objects_of_each_account_are_fetched_from_that_account(
    ingest: Ingest, stripe: FetchWorld
) -> None:
    await ingest.agree(PLATFORM)
    own = await stripe.shop.customer(card=None)
    foreign = await connected(stripe, "acct_1").customer(card=None)
    other = await connected(stripe, "acct_2").customer(card=None)
    await ingest.record(
        hint(own.id), hint(foreign.id, account="acct_1"), hint(other.id, context="acct_0/acct_2")
    )
    await work_off(ingest, stripe.source(ingest.pool))
    assert set((await ingest.statuses()).values()) == {"done"}
    rows = await ingest.table("customer")
    assert {(row["account"], row["id"], row["email"]) for row in rows} == {
        ("default", own.id, "ada@example.com"),
        ("acct_1", foreign.id, "ada@example.com"),
        ("acct_2", other.id, "ada@example.com"),
    }
    assert not any(row["deleted"] for row in rows)
    fetched = [one for one in stripe.world.stand_in.received() if one["method"] == "GET"]
    assert {one["stripe_account"] for one in fetched} == {None, "acct_1", "acct_2"}


async def test_account_without_access_waits_and_others_go_on(ingest: Ingest, stripe: FetchWorld) -> None:
    await ingest.agree(PLATFORM)
    own = await stripe.shop.customer(card=None)
    foreign = await connected(stripe, "acct_1").customer(card=None)
    stripe.world.stand_in.disconnect("acct_1")
    await ingest.record(hint(own.id), hint(foreign.id, account="acct_1"))
    await work_off(ingest, stripe.source(ingest.pool))
    assert await ingest.statuses() == {f"evt_{own.id}": "done", f"evt_{foreign.id}": "received"}
    assert [row["id"] for row in await ingest.table("customer")] == [own.id]


async def test_reader_of_an_account_that_is_not_connected_says_nothing_of_the_object(
    stripe: FetchWorld,
) -> None:
    with pytest.raises(FetchError, match="403"):
        await stripe.readers["default"].connected("acct_unknown").fetch("customer", "cus_1")


async def test_version_of_a_connected_accounts_row_has_the_epoch_of_that_account(
    ingest: Ingest, stripe: FetchWorld
) -> None:
    await ingest.agree(replace(PLATFORM, api_key=None))
    foreign = await connected(stripe, "acct_1").customer(card=None)
    taken = events.customer(foreign.id, email="former@example.com")
    await ingest.record(events.event("customer.created", taken, at=events.START * 2, account="acct_1"))
    await ingest.work_off()
    await ingest.agree(PLATFORM)
    await ingest.record(hint(foreign.id, account="acct_1"))
    await work_off(ingest, stripe.source(ingest.pool))
    (row,) = await ingest.table("customer")
    assert (row["email"], row["epoch"]) == ("ada@example.com", 1)


async def test_stand_in_sends_events_of_connected_accounts_to_connect_endpoints_alone(
    stripe: FetchWorld,
) -> None:
    stand_in = stripe.world.stand_in
    account = stand_in.connect("acct_1")
    endpoints = [
        stand_in.add_endpoint("http://127.0.0.1:9/", secret="whsec", connect=is_connect)
        for is_connect in (True, False)
    ]
    account.record("customer.created", account.new("customer"))
    event = account.events.at(0)
    assert event is not None
    assert event.waiting == {endpoints[0]}
    shown = rendered(event, "2026-10-28.endive")
    assert (shown["account"], shown["context"]) == ("acct_1", "acct_1")


async def test_answer_for_another_account_stops_the_connected_one_and_points_at_the_way(
    ingest: Ingest, stripe: FetchWorld
) -> None:
    await ingest.agree(PLATFORM)
    foreign = await connected(stripe, "acct_1").customer(card=None)
    await ingest.record(hint(foreign.id, account="acct_1"))
    stripe.world.faults.add(answer(f"/v1/customers/{foreign.id}$", 404, MISSING))
    stripe.world.faults.add(answer("^/v1/account$", 200, json.dumps({"id": OTHERS, "object": "account"})))
    await work_off(ingest, stripe.source(ingest.pool))
    assert await ingest.statuses() == {f"evt_{foreign.id}": "received"}
    assert await ingest.table("customer") == []
    (row,) = await ingest.rows("SELECT problem FROM inbox.account WHERE account = 'acct_1'")
    assert "`Stripe-Account`" in row["problem"]
    assert f"accept acct_1 {OTHERS}" not in row["problem"]


async def test_connected_accounts_missing_object_is_buried_by_that_accounts_own_word(
    ingest: Ingest, stripe: FetchWorld
) -> None:
    await ingest.agree(PLATFORM)
    connected(stripe, "acct_1")
    await ingest.record(hint("cus_never", account="acct_1"))
    await work_off(ingest, stripe.source(ingest.pool))
    (row,) = await ingest.table("customer")
    assert (row["account"], row["id"], row["deleted"]) == ("acct_1", "cus_never", True)
    asked = [(one["path"], one["stripe_account"]) for one in stripe.world.stand_in.received()]
    assert asked == [("/v1/customers/cus_never", "acct_1"), ("/v1/account", "acct_1")]
