"""Rules whose failing interleaving stands in no other test: locks, and fetches that overtake each other."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest
import stripe_events as events
from fetch_world import FetchWorld, open_fetch_world
from held import Held
from ingest_bench import Ingest, empty, new_event
from servers import Database
from stripe_events import START

from mainstem.common.database.locks import LockClass, _key, lock
from mainstem.common.database.pool import Transactions, open_pool
from mainstem.common.queue.inbox import insert
from mainstem.common.queue.lease import Lease
from mainstem.ingest.inbox.claims import claim
from mainstem.ingest.inbox.scheduling import Queue
from mainstem.ingest.pipeline.fetches import FetchSource
from mainstem.ingest.providers.protocol import Reader

# The SDK hands httpx its form in a way that httpx deprecates; only the shop posts any.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

COMMIT = 2
"""A pipeline's transactions in payload mode: the claim, then the commit of stops 4 to 6."""

LOCKS = """
SELECT objid::bigint AS key, granted FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
UNSIGNED = 2**32

BLOCKED = "SELECT pid FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"


@pytest.fixture(autouse=True)
async def _empty(ingest: Ingest) -> None:
    await empty(ingest)


@pytest.fixture
async def stripe(tmp_path: Path) -> AsyncIterator[FetchWorld]:
    async with open_fetch_world(tmp_path) as opened:
        yield opened


async def until_waiting_or_done(ingest: Ingest, task: "asyncio.Task[int]") -> None:
    """Return once somebody waits for an advisory lock, or the task waits for none."""
    while not task.done() and all(row["granted"] for row in await ingest.rows(LOCKS)):  # noqa: ASYNC110 -- Postgres does not tell
        await asyncio.sleep(0.01)


async def test_locks_are_taken_in_the_order_of_their_keys_whatever_the_names(ingest: Ingest) -> None:
    names = sorted(((f"object {number}",) for number in range(20)), key=_key)
    middle = names[10]

    async def take_all() -> int:
        async with ingest.pool.transaction() as connection:
            await lock(connection, LockClass.OBJECT, reversed(names))
        return 0

    async with ingest.pool.transaction() as connection:
        await lock(connection, LockClass.OBJECT, [middle])
        taking = asyncio.create_task(take_all())
        await until_waiting_or_done(ingest, taking)
        granted = {row["key"] for row in await ingest.rows(LOCKS) if row["granted"]}
    await taking
    assert granted == {_key(name) % UNSIGNED for name in names[:11]}


async def test_no_lock_outlives_its_transaction(ingest: Ingest, module_database: Database) -> None:
    """Not a pool's connection: what a pool takes back it unlocks, which poolers between do not."""
    connection = await asyncpg.connect(module_database.urls["ingest"])
    async with connection.transaction():
        await lock(connection, LockClass.OWNER, [("one",), ("other",)])
        assert len(await ingest.rows(LOCKS)) == 2
    assert await ingest.rows(LOCKS) == []
    await connection.close()


async def test_what_is_held_is_claimed_by_nobody_else(ingest: Ingest) -> None:
    await ingest.record(events.event("customer.created", events.customer()))
    counts = []
    for owner in ("worker-1", "worker-2"):
        async with ingest.pool.transaction() as connection:
            queue = Queue("stripe", ["default"])
            counts.append(len(await claim(connection, Lease(owner, 60), queue, ingest.clock.now(), 9)))
    assert counts == [1, 0]


async def test_a_subscription_that_moves_while_it_is_waited_for_is_locked_with_its_new_customer(
    ingest: Ingest,
) -> None:
    """Without it a third worker, which brings that customer, derives from what the second one buries."""
    await ingest.take(
        events.event("customer.created", events.customer("cus_1")),
        events.event("customer.subscription.created", events.subscription()),
    )
    moves, buries = Held(ingest.pool, COMMIT, before=False), Held(ingest.pool, COMMIT, before=False)
    await ingest.record(
        events.event("customer.subscription.updated", events.subscription(of="cus_2"), at=START + 1)
    )
    first = asyncio.create_task(ingest.pipeline(database=moves, owner="worker-1").work())
    await moves.reached.wait()
    gone = {"id": "sub_1", "object": "subscription", "deleted": True}
    await ingest.record(events.event("customer.subscription.updated", gone, at=START + 2))
    second = asyncio.create_task(ingest.pipeline(database=buries, owner="worker-2").work())
    await until_waiting_or_done(ingest, second)
    moves.released.set()
    await first
    # Where the second begins anew, its next transaction is not the one that is held.
    buried = asyncio.create_task(buries.reached.wait())
    await asyncio.wait({buried, second}, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    await ingest.record(events.event("customer.created", events.customer("cus_2", owner="fxa-2")))
    third = asyncio.create_task(ingest.pipeline(owner="worker-3").work())
    await until_waiting_or_done(ingest, third)
    buries.released.set()
    await asyncio.gather(second, third)
    buried.cancel()
    assert await ingest.products() == []


async def test_events_are_recorded_in_the_order_of_their_keys_however_they_came(
    ingest: Ingest, module_database: Database
) -> None:
    """Whoever waits for one event holds none that is greater, so that nobody can wait for it in turn."""
    recorded = [new_event(events.event("customer.created", events.customer(), one=f"evt_{n}")) for n in "159"]
    async with open_pool(module_database.urls["ingest"], name="test") as pool:

        async def record_all() -> None:
            async with pool.transaction() as connection:
                await insert(connection, recorded[::-1], ingest.clock.now())

        async with pool.transaction() as first, pool.transaction() as third:
            await insert(first, recorded[1:2], ingest.clock.now())
            second = asyncio.create_task(record_all())
            while not await ingest.rows(BLOCKED):  # noqa: ASYNC110 -- Postgres does not tell
                await asyncio.sleep(0.01)
            await third.execute("SET LOCAL lock_timeout = '1s'")
            assert await insert(third, recorded[2:], ingest.clock.now()) == 1
        await second
    assert len(await ingest.statuses()) == 3


@dataclass
class Slow:
    """A reader whose answer is a while on its way."""

    reader: Reader
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    arrives: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def livemode(self) -> bool | None:
        return self.reader.livemode

    async def fetch(self, object_type: str, object_id: str) -> bytes | None:
        body = await self.reader.fetch(object_type, object_id)
        self.answered.set()
        await self.arrives.wait()
        return body

    async def identity(self) -> str:
        return await self.reader.identity()

    def connected(self, account_id: str) -> Reader:
        return self.reader.connected(account_id)


def hint(customer: str, at: int) -> bytes:
    return events.event("customer.updated", {"id": customer, "object": "customer"}, at=at)


def fetching(database: Transactions, reader: Reader) -> FetchSource:
    return FetchSource(
        "stripe", {"default": 0}, {"default": reader}, database=database, concurrency=2, limit=9
    )


async def named(ingest: Ingest) -> str:
    (row,) = await ingest.table("customer")
    return str(row["name"])


async def test_an_answer_that_was_long_on_its_way_never_overwrites_a_later_one(
    ingest: Ingest, stripe: FetchWorld
) -> None:
    sdk = stripe.shop.sdk.v1
    customer = (await sdk.customers.create_async({"name": "before"})).id
    slow = Slow(stripe.readers["default"])
    await ingest.record(hint(customer, START))
    late = asyncio.create_task(ingest.pipeline(fetching(ingest.pool, slow)).work())
    await slow.answered.wait()
    await sdk.customers.update_async(customer, {"name": "after"})
    await ingest.record(hint(customer, START + 1))
    await ingest.pipeline(stripe.source(ingest.pool), owner="quick").work()
    slow.arrives.set()
    await late
    assert await named(ingest) == "after"


async def test_every_batch_reads_the_time_anew(ingest: Ingest, stripe: FetchWorld) -> None:
    sdk = stripe.shop.sdk.v1
    customer = (await sdk.customers.create_async({"name": "first"})).id
    old = ingest.pipeline(stripe.source(ingest.pool), owner="old")
    await ingest.record(hint(customer, START))
    await old.work()
    for number, (name, pipeline) in enumerate(
        [("second", ingest.pipeline(stripe.source(ingest.pool), owner="new")), ("third", old)], start=1
    ):
        await sdk.customers.update_async(customer, {"name": name})
        await ingest.record(hint(customer, START + number))
        await pipeline.work()
        assert await named(ingest) == name


async def test_what_was_fetched_holds_from_the_latest_event_on_that_asked_for_it(
    ingest: Ingest, stripe: FetchWorld
) -> None:
    customer = (await stripe.shop.sdk.v1.customers.create_async({"name": "Ada"})).id
    await ingest.record(*(hint(customer, START + number) for number in (3, 7, 5)))
    await ingest.pipeline(stripe.source(ingest.pool)).work()
    rows = await ingest.rows(
        "SELECT extract(epoch FROM valid_from)::bigint AS at FROM stripe.revision WHERE body IS NOT NULL"
    )
    assert [row["at"] for row in rows] == [START + 7]


async def test_a_commit_is_on_disk_before_it_is_answered(module_database: Database) -> None:
    url = module_database.urls["ingest"]
    async with open_pool(url, name="test") as pool, pool.transaction() as connection:
        assert await connection.fetchval("SHOW synchronous_commit") == "on"


async def test_an_event_without_an_account_is_refused(ingest: Ingest) -> None:
    with pytest.raises(asyncpg.NotNullViolationError):
        await ingest.record(events.event("customer.created", events.customer()), account=None)  # type: ignore[arg-type]  # what no caller may do
