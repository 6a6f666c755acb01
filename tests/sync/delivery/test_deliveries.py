import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from servers import Database as OwnDatabase
from sync_world import People

from mainstem.common.clock import Clock
from mainstem.common.database.sessions import Database
from mainstem.common.queue.lease import Lease
from mainstem.sync.delivery import storage as deliveries
from mainstem.sync.delivery.batching import DeliveryStore
from mainstem.sync.delivery.storage import ClaimedDelivery, SendIntent, SuccessfulDelivery

PLATFORM = "acoustic"


async def claim(database: Database, clock: Clock, seconds: float) -> ClaimedDelivery:
    async with database.statement() as connection, connection.transaction():
        (one,) = await deliveries.claim(connection, PLATFORM, Lease("one process", seconds), clock.now(), 1)
    return one


@pytest.fixture
async def both(people: People, sync_database: Database, clock: Clock) -> list[ClaimedDelivery]:
    """One contact's delivery as a process holds it twice: its hold ran out, and it claimed it again."""
    await people.add()
    return [await claim(sync_database, clock, 0.0), await claim(sync_database, clock, 60.0)]


async def test_of_two_holds_in_one_group_only_the_one_that_lasts_may_send(
    both: list[ClaimedDelivery], sync_database: Database
) -> None:
    async with sync_database.statement() as connection:
        held = await deliveries.intend(connection, [SendIntent(one, {}) for one in both])
    assert held == [False, True]


async def test_of_two_holds_in_one_group_only_the_one_that_lasts_settles(
    both: list[ClaimedDelivery], sync_database: Database, clock: Clock
) -> None:
    arrivals = [SuccessfulDelivery(one, {}, None, ()) for one in both]
    async with sync_database.statement() as connection:
        settled = await deliveries.succeed(connection, arrivals, clock.now())
    assert settled == [None, False]


@pytest.fixture
async def marker(database: OwnDatabase) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Who marks several contacts in one transaction."""
    connection = await asyncpg.connect(database.url)
    yield connection
    await connection.close()


async def until_somebody_waits(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    async with asyncio.timeout(10):
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 -- what happens in Postgres sets no event of ours
            await asyncio.sleep(0.02)


async def test_a_group_that_waits_in_a_circle_with_who_marks_is_done_one_by_one(
    people: People, sync_database: Database, clock: Clock, marker: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    for number in range(1, 4):
        await people.add(f"fan-{number}", email={"email_id": str(UUID(int=number, version=4))})
    claimed = [await claim(sync_database, clock, 60.0) for _ in range(3)]
    store = DeliveryStore(sync_database, PLATFORM, clock)
    mark = "UPDATE contact.delivery SET wanted = wanted + 1 WHERE contact_id = $1"
    async with marker.transaction():
        await marker.execute(mark, claimed[-1].contact_id)
        held = asyncio.gather(*(store.intend(one, {}) for one in claimed))
        # Of two in a circle the one that waited first gives way.
        await until_somebody_waits(marker)
        await marker.execute(mark, claimed[0].contact_id)
    assert await held == [True, True, True]
