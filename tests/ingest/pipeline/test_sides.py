"""Sides: an event of the other side is laid aside at once, before anything is fetched or mirrored."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import stripe_events as events
from bare_objects import customer as bare_customer
from bare_objects import push
from fetch_world import FetchWorld, open_fetch_world
from ingest_bench import Ingest

from mainstem.common.queue import hints
from mainstem.common.queue.hints import Hint
from mainstem.ingest.accounts.storage import ProviderAccount
from mainstem.ingest.inbox import replay

# The SDK hands httpx its form in a way that httpx deprecates; only the shop posts any.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

UNKNOWN = ProviderAccount("default", ("whsec",), None)
LIVE = ProviderAccount("default", ("whsec",), None, livemode=True)
TEST_KEY = ProviderAccount("default", ("whsec",), "sk_test_1")


@pytest.fixture
async def stripe(tmp_path: Path) -> AsyncIterator[FetchWorld]:
    async with open_fetch_world(tmp_path) as opened:
        yield opened


def about(one: str, *, live: bool | None, **more: Any) -> bytes:
    content = events.customer(one, livemode=live)
    return events.event("customer.updated", content, one=f"evt_{one}", livemode=live, **more)


async def mirrored(ingest: Ingest) -> list[str]:
    return [row["id"] for row in await ingest.table("customer")]


async def reasons(ingest: Ingest) -> dict[str, str]:
    rows = await ingest.rows("SELECT event_id, last_error FROM inbox.event WHERE status = 'dead'")
    return {row["event_id"]: row["last_error"] for row in rows}


async def test_test_event_at_live_account_is_a_dead_letter_at_once(ingest: Ingest) -> None:
    await ingest.agree(LIVE)
    await ingest.take(about("cus_test", live=False), about("cus_live", live=True))
    (reason,) = (await reasons(ingest)).values()
    assert reason.startswith("a test event at an account of the live side")
    assert "then replay" in reason
    assert await ingest.statuses() == {"evt_cus_test": "dead", "evt_cus_live": "done"}
    assert await mirrored(ingest) == ["cus_live"]
    assert len(await ingest.rows("SELECT FROM stripe.revision")) == 1


async def test_live_event_at_test_key_is_a_dead_letter_before_a_fetch(
    ingest: Ingest, stripe: FetchWorld
) -> None:
    await ingest.agree(TEST_KEY)
    before = len(stripe.world.stand_in.received())
    await ingest.record(about("cus_live", live=True))
    await ingest.pipeline(stripe.source(ingest.pool)).work()
    (reason,) = (await reasons(ingest)).values()
    assert reason.startswith("a live event at an account of the test side")
    assert len(stripe.world.stand_in.received()) == before
    assert await mirrored(ingest) == []
    assert await ingest.rows("SELECT FROM stripe.revision") == []


@pytest.mark.parametrize("first", [True, False])
async def test_first_signed_event_gives_an_account_its_side(ingest: Ingest, first: bool) -> None:
    await ingest.agree(UNKNOWN)
    await ingest.take(about("cus_1", live=first), about("cus_2", live=not first))
    await ingest.take(about("cus_3", live=not first), about("cus_4", live=first))
    assert set(await reasons(ingest)) == {"evt_cus_2", "evt_cus_3"}
    assert await mirrored(ingest) == ["cus_1", "cus_4"]


async def test_event_that_nobody_works_on_counts_as_first_and_a_bare_object_does_not(ingest: Ingest) -> None:
    await ingest.agree(UNKNOWN)
    await push(ingest, bare_customer(id="cus_bare", livemode=False))
    await ingest.record(events.event("balance.available", {"object": "balance"}, livemode=True))
    (row,) = await ingest.rows("SELECT livemode FROM inbox.account")
    assert row["livemode"] is True


async def test_doors_that_record_both_sides_at_once_agree_on_one(ingest: Ingest) -> None:
    await ingest.agree(UNKNOWN)
    await asyncio.gather(*(ingest.record(about(f"cus_{n}", live=n % 2 == 0)) for n in range(20)))
    await ingest.work_off()
    (row,) = await ingest.rows("SELECT livemode FROM inbox.account")
    kept = 0 if row["livemode"] else 1
    assert set(await mirrored(ingest)) == {f"cus_{n}" for n in range(20) if n % 2 == kept}


async def test_connected_account_has_its_parents_side(ingest: Ingest) -> None:
    await ingest.agree(LIVE)
    await ingest.take(
        about("cus_test", live=False, account="acct_1"), about("cus_live", live=True, account="acct_1")
    )
    assert set(await reasons(ingest)) == {"evt_cus_test"}
    assert await mirrored(ingest) == ["cus_live"]


async def test_connected_account_gives_its_parent_no_side_and_takes_it_once_known(ingest: Ingest) -> None:
    await ingest.agree(UNKNOWN)
    await ingest.take(about("cus_1", live=False, account="acct_1"))
    await ingest.take(about("cus_2", live=True, account="acct_1"))
    assert set(await reasons(ingest)) == {"evt_cus_2"}
    await ingest.take(about("cus_3", live=True))
    await ingest.take(
        about("cus_4", live=True, account="acct_1"), about("cus_5", live=False, account="acct_1")
    )
    assert set(await reasons(ingest)) == {"evt_cus_2", "evt_cus_5"}


async def test_what_does_not_say_its_side_is_not_refused_for_that(ingest: Ingest) -> None:
    await ingest.agree(LIVE)
    await push(ingest, bare_customer(id="cus_bare", livemode=None))
    await ingest.take(about("cus_signed", live=None))
    assert set((await ingest.statuses()).values()) == {"done"}


@pytest.mark.parametrize("shape", [{}, {"api_version": 7}], ids=["an event's shape", "another shape"])
async def test_event_without_a_side_has_that_of_its_object(ingest: Ingest, shape: dict[str, Any]) -> None:
    await ingest.agree(LIVE)
    for live in (False, True):
        about_one = events.customer(f"cus_{live}", livemode=live)
        await ingest.take(events.event("customer.updated", about_one, livemode=None, **shape))
    assert await mirrored(ingest) == ["cus_True"]
    assert sorted((await ingest.statuses()).values()) == ["dead", "done"]


async def test_hint_of_the_other_side_is_refused(ingest: Ingest) -> None:
    await ingest.agree(LIVE)
    async with ingest.pool.transaction() as connection:
        of_both = [Hint("stripe", "default", "customer", "cus_1", livemode=side) for side in (True, False)]
        await hints.write(connection, of_both, ingest.clock.now())
    await ingest.work_off()
    assert sorted((await ingest.statuses()).values()) == ["dead", "done"]


async def test_dead_letter_is_replayed_after_the_account_was_corrected(ingest: Ingest) -> None:
    await ingest.agree(LIVE)
    await ingest.take(about("cus_test", live=False))
    await ingest.agree(ProviderAccount("default", ("whsec",), None, livemode=False))
    (row,) = await ingest.rows("SELECT id FROM inbox.event")
    async with ingest.pool.transaction() as connection:
        assert await replay.replay(connection, [row["id"]], ingest.clock.now()) == [row["id"]]
    await ingest.work_off()
    assert await ingest.statuses() == {"evt_cus_test": "done"}
    assert await mirrored(ingest) == ["cus_test"]


async def test_settings_win_over_a_remembered_side_and_silence_keeps_it(ingest: Ingest) -> None:
    await ingest.agree(UNKNOWN)
    await ingest.record(about("cus_1", live=False))
    for account, expected in ((UNKNOWN, False), (LIVE, True), (UNKNOWN, True), (TEST_KEY, False)):
        await ingest.agree(account)
        (row,) = await ingest.rows("SELECT livemode FROM inbox.account")
        assert row["livemode"] is expected


MISFITS = {
    "customer.updated": events.subscription(),
    "customer.subscription.updated": events.customer(),
    "invoice.paid": events.customer(),
    "price.updated": events.product(),
    "customer.created": {"id": "cus_1"},
}


@pytest.mark.parametrize("kind", MISFITS)
@pytest.mark.parametrize("is_fetched", [True, False], ids=["fetch", "payload"])
async def test_object_of_another_kind_than_announced_is_refused_before_a_fetch(
    ingest: Ingest, stripe: FetchWorld, kind: str, is_fetched: bool
) -> None:
    before = len(stripe.world.stand_in.received())
    await ingest.record(events.event(kind, MISFITS[kind]))
    source = stripe.source(ingest.pool) if is_fetched else None
    await ingest.pipeline(source, failures_to_dead=1).work()
    (reason,) = (await reasons(ingest)).values()
    assert "announced, something else came" in reason or "missing required field" in reason
    assert len(stripe.world.stand_in.received()) == before
    assert not any((await ingest.mirror()).values())
