"""Hints: another service has an object fetched, and only ingest writes the mirror."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from fetch_world import FetchWorld, open_fetch_world
from ingest_bench import Ingest
from servers import Database

from mainstem.common.database.pool import Pool, open_pool
from mainstem.common.queue import hints
from mainstem.common.queue.hints import Hint, Written

# The SDK hands httpx its form in a way that httpx deprecates; only the shop posts any.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
async def billing(database: Database) -> AsyncIterator[Pool]:
    """Connections of somebody who hints, under the login of production."""
    async with open_pool(database.urls["billing"], name="hint-test") as pool:
        yield pool


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[FetchWorld]:
    async with open_fetch_world(tmp_path) as world:
        yield world


async def hint(billing: Pool, ingest: Ingest, object_type: str, object_id: str) -> list[Written]:
    one = Hint("stripe", "default", object_type, object_id, livemode=False)
    async with billing.transaction() as connection:
        return await hints.write(connection, [one], ingest.clock.now())


async def work_off(ingest: Ingest, provider: FetchWorld) -> None:
    pipeline = ingest.pipeline(provider.source(ingest.pool))
    while await pipeline.work():
        pass


async def test_a_hint_has_its_object_fetched_and_kept_as_a_revision(
    ingest: Ingest, billing: Pool, provider: FetchWorld
) -> None:
    customer = await provider.shop.customer(card=None)
    (written,) = await hint(billing, ingest, "customer", customer.id)
    await work_off(ingest, provider)
    (row,) = await ingest.table("customer")
    assert (row["id"], row["email"]) == (customer.id, "ada@example.com")
    (revision,) = await ingest.rows("SELECT object_id, event FROM stripe.revision")
    assert revision == {"object_id": customer.id, "event": None}
    assert await ingest.statuses() == {written.event_id: "done"}


async def test_a_hint_never_overwrites_what_is_newer(
    ingest: Ingest, billing: Pool, provider: FetchWorld
) -> None:
    customer = await provider.shop.customer(card=None)
    await hint(billing, ingest, "customer", customer.id)
    await work_off(ingest, provider)
    async with ingest.owner.transaction() as connection:
        await connection.execute("UPDATE stripe.customer SET at = at + interval '1 hour', email = 'newer'")
    await hint(billing, ingest, "customer", customer.id)
    await work_off(ingest, provider)
    assert [row["email"] for row in await ingest.table("customer")] == ["newer"]
    assert set((await ingest.statuses()).values()) == {"done"}


async def test_without_an_api_key_a_hint_changes_nothing(ingest: Ingest, billing: Pool) -> None:
    (written,) = await hint(billing, ingest, "customer", "cus_1")
    await ingest.work_off()
    assert await ingest.statuses() == {written.event_id: "done"}
    assert await ingest.table("customer") == []
    assert await ingest.rows("SELECT * FROM stripe.revision") == []


async def test_waiting_for_hints_ends_with_them_and_is_bounded(ingest: Ingest, billing: Pool) -> None:
    written = await hint(billing, ingest, "customer", "cus_1")
    assert await hints.wait(billing, written, 0.1) is False
    waiting = asyncio.create_task(hints.wait(billing, written, 10.0))
    await ingest.work_off()
    assert await waiting is True
    assert await hints.wait(billing, [], 0.0) is True


async def test_whoever_hints_sees_hints_and_no_events(ingest: Ingest, billing: Pool) -> None:
    (written,) = await hint(billing, ingest, "customer", "cus_1")
    async with billing.transaction() as connection:
        assert [row["event_id"] for row in await connection.fetch("SELECT * FROM inbox.v1_hint")] == [
            written.event_id
        ]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT event_id FROM inbox.event")
