import pytest
from sync_world import People

from mainstem.common.clock import Clock
from mainstem.common.database import Database
from mainstem.common.lease import Lease
from mainstem.sync import deliveries
from mainstem.sync.deliveries import Arrival, Claimed, Intent

PLATFORM = "acoustic"


async def claim(database: Database, clock: Clock, seconds: float) -> Claimed:
    async with database.statement() as connection, connection.transaction():
        (one,) = await deliveries.claim(connection, PLATFORM, Lease("one process", seconds), clock.now(), 1)
    return one


@pytest.fixture
async def both(people: People, sync_database: Database, clock: Clock) -> list[Claimed]:
    """One contact's delivery as a process holds it twice: its hold ran out, and it claimed it again."""
    await people.add()
    return [await claim(sync_database, clock, 0.0), await claim(sync_database, clock, 60.0)]


async def test_of_two_holds_in_one_group_only_the_one_that_lasts_may_send(
    both: list[Claimed], sync_database: Database
) -> None:
    async with sync_database.statement() as connection:
        held = await deliveries.intend(connection, [Intent(one, {}) for one in both])
    assert held == [False, True]


async def test_of_two_holds_in_one_group_only_the_one_that_lasts_settles(
    both: list[Claimed], sync_database: Database, clock: Clock
) -> None:
    arrivals = [Arrival(one, {}, None, ()) for one in both]
    async with sync_database.statement() as connection:
        settled = await deliveries.succeed(connection, arrivals, clock.now())
    assert settled == [None, False]
