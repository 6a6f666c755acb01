import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import asyncpg
import pytest
from connections import Connect
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from properties import examples
from servers import Database

from mainstem.common.database.pool import Connection
from mainstem.common.queue import outbox
from mainstem.common.queue.lease import Lease, LeaseLostError
from mainstem.common.queue.outbox import PRODUCT_SUBSCRIPTION_CHANGED, Announcement

NOW = datetime(2031, 1, 1, tzinfo=UTC)
T = TypeVar("T")


def announce(*keys: str) -> list[Announcement]:
    return [Announcement(PRODUCT_SUBSCRIPTION_CHANGED, key, f"trace-of-{key}") for key in keys]


async def claim(connection: Connection, *, limit: int = 100, now: datetime = NOW) -> tuple[Lease, list[int]]:
    lease = Lease("worker", 60)
    entries = await outbox.claim(connection, "sync", lease, now, limit)
    return lease, [entry.id for entry in entries]


async def expire_leases(owner: Connection) -> None:
    await owner.execute("UPDATE outbox.entry SET lease_expires_at = clock_timestamp() - interval '1 second'")


@pytest.fixture
async def database(module_database: Database) -> Database:
    """The module's database, emptied."""
    connection = await asyncpg.connect(module_database.url)
    await connection.execute("TRUNCATE outbox.entry")
    await connection.close()
    return module_database


@pytest.fixture
async def writer(connect: Connect) -> Connection:
    return await connect("ingest")


@pytest.fixture
async def reader(connect: Connect) -> Connection:
    return await connect("sync")


async def test_an_announcement_becomes_one_entry_for_each_consumer_of_its_topic(
    writer: Connection, reader: Connection
) -> None:
    assert await outbox.insert(writer, announce("fxa_id:1", "fxa_id:2"), NOW) == 2
    entries = await outbox.claim(reader, "sync", Lease("worker", 60), NOW, 10)
    assert [(entry.topic, entry.key, entry.traceparent, entry.recorded_at) for entry in entries] == [
        (PRODUCT_SUBSCRIPTION_CHANGED, f"fxa_id:{n}", f"trace-of-fxa_id:{n}", NOW) for n in (1, 2)
    ]


async def test_announcing_nothing_writes_nothing(writer: Connection, reader: Connection) -> None:
    assert await outbox.insert(writer, [], NOW) == 0
    assert (await claim(reader))[1] == []


async def test_an_unknown_topic_is_a_mistake_of_the_code(writer: Connection) -> None:
    with pytest.raises(KeyError):
        await outbox.insert(writer, [Announcement("nobody.listens", "key")], NOW)


async def test_another_consumers_entries_are_not_claimed(writer: Connection, reader: Connection) -> None:
    await outbox.insert(writer, announce("fxa_id:1"), NOW)
    assert await outbox.claim(reader, "billing", Lease("worker", 60), NOW, 10) == []


async def test_what_is_held_is_not_claimed_again_until_the_lease_expires(
    writer: Connection, reader: Connection, connect: Connect
) -> None:
    await outbox.insert(writer, announce("a", "b", "c"), NOW)
    assert [len((await claim(reader, limit=2))[1]) for _ in range(3)] == [2, 1, 0]
    await expire_leases(await connect("owner"))
    assert len((await claim(reader))[1]) == 3


async def test_world_time_decides_what_is_due_and_never_what_is_held(
    writer: Connection, reader: Connection
) -> None:
    await outbox.insert(writer, announce("a"), NOW)
    assert (await claim(reader, now=NOW - timedelta(microseconds=1)))[1] == []
    assert len((await claim(reader, now=NOW))[1]) == 1
    assert (await claim(reader, now=NOW + timedelta(days=40)))[1] == []


async def test_new_entries_go_before_retries(
    writer: Connection, reader: Connection, connect: Connect
) -> None:
    await outbox.insert(writer, announce("failed"), NOW - timedelta(days=1))
    await (await connect("owner")).execute("UPDATE outbox.entry SET failures = 1")
    await outbox.insert(writer, announce("new"), NOW)
    (entry,) = await outbox.claim(reader, "sync", Lease("worker", 60), NOW, 1)
    assert entry.key == "new"


async def test_a_claim_that_outlived_its_lease_settles_nothing_once_another_holds_it(
    writer: Connection, reader: Connection, connect: Connect
) -> None:
    await outbox.insert(writer, announce("a", "b"), NOW)
    late, ids = await claim(reader)
    await expire_leases(await connect("owner"))
    holder, taken = await claim(reader, limit=1)
    with pytest.raises(LeaseLostError, match="1 of 2"):
        async with reader.transaction():
            await outbox.settle(reader, late, ids, NOW)
    await outbox.settle(reader, holder, taken, NOW)
    with pytest.raises(LeaseLostError, match="0 of 1"):
        await outbox.settle(reader, holder, taken, NOW)


async def test_two_workers_that_claim_at_once_take_different_entries(
    writer: Connection, connect: Connect
) -> None:
    await outbox.insert(writer, announce(*map(str, range(200))), NOW)
    workers = [await connect("sync") for _ in range(4)]
    claims = await asyncio.gather(*(claim(worker, limit=50) for worker in workers))
    taken = [number for _, ids in claims for number in ids]
    assert len(taken) == len(set(taken))
    # A claim skips what another one has locked, so that it may take fewer; nobody waits, none is lost.
    rest = (await claim(workers[0], limit=200))[1]
    assert sorted((*taken, *rest)) == sorted({*taken, *rest})
    assert len(taken) + len(rest) == 200


@dataclass
class Held:
    lease: Lease
    ids: list[int]


class Outbox(RuleBasedStateMachine):
    """Announcing, claiming, settling, crashing and expiring in any order, beside a model in memory."""

    claims = Bundle("claims")

    def __init__(self, run: "Runner", database: Database) -> None:
        super().__init__()
        self.run = run
        self.writer = run(asyncpg.connect(database.urls["ingest"]))
        self.reader = run(asyncpg.connect(database.urls["sync"]))
        self.owner = run(asyncpg.connect(database.url))
        run(self.owner.execute("TRUNCATE outbox.entry"))
        self.announced = 0
        self.holders: dict[int, Lease] = {}
        self.expired: set[int] = set()
        self.settled: set[int] = set()

    def teardown(self) -> None:
        self._settle_the_rest()
        for connection in (self.writer, self.reader, self.owner):
            self.run(connection.close())

    @rule(count=st.integers(1, 5))
    def announce(self, count: int) -> None:
        self.run(outbox.insert(self.writer, announce(*map(str, range(count))), NOW))
        self.announced += count

    @rule(target=claims, limit=st.integers(1, 4))
    def claim(self, limit: int) -> MultipleResults[Held]:
        """Claim; a claim that is never settled belongs to a worker that crashed."""
        lease, ids = self.run(claim(self.reader, limit=limit))
        self._take(lease, ids)
        return multiple(*([Held(lease, ids)] if ids else []))

    @rule(limit=st.integers(1, 4))
    def claim_and_crash_before_the_commit(self, limit: int) -> None:
        async def claim_and_roll_back() -> None:
            transaction = self.reader.transaction()
            await transaction.start()
            await claim(self.reader, limit=limit)
            await transaction.rollback()

        self.run(claim_and_roll_back())

    @rule(limit=st.integers(1, 4), target=claims)
    def claim_after_every_lease_expired(self, limit: int) -> MultipleResults[Held]:
        self.let_every_lease_expire()
        return self.claim(limit)

    def let_every_lease_expire(self) -> None:
        self.run(expire_leases(self.owner))
        self.expired |= set(self.holders)

    @rule(held=claims)
    def settle(self, held: Held) -> None:
        """Settle a claim, also one that was settled or lost before."""
        is_whole = all(
            self.holders.get(number) is held.lease and number not in self.settled for number in held.ids
        )
        assert self._try_to_settle(held) is is_whole
        if is_whole:
            self.settled |= set(held.ids)

    @invariant()
    def what_is_settled_stays_settled_and_nothing_is_lost(self) -> None:
        rows = self.run(self.owner.fetch("SELECT id, settled_at IS NOT NULL AS settled FROM outbox.entry"))
        assert len(rows) == self.announced
        assert {row["id"] for row in rows if row["settled"]} == self.settled

    def _take(self, lease: Lease, ids: list[int]) -> None:
        for number in ids:
            assert number not in self.settled
            assert number not in self.holders or number in self.expired
            self.holders[number] = lease
            self.expired.discard(number)

    def _try_to_settle(self, held: Held) -> bool:
        async def settle() -> bool:
            try:
                async with self.reader.transaction():
                    await outbox.settle(self.reader, held.lease, held.ids, NOW)
            except LeaseLostError:
                return False
            return True

        return self.run(settle())

    def _settle_the_rest(self) -> None:
        self.let_every_lease_expire()
        lease, ids = self.run(claim(self.reader, limit=10_000))
        self._take(lease, ids)
        assert len(ids) + len(self.settled) == self.announced
        assert self._try_to_settle(Held(lease, ids))


class Runner:
    """Runs a coroutine on a loop of its own, since hypothesis' state machines are no coroutines."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)


def test_no_entry_is_settled_twice_or_lost_in_any_order_of_claims_and_crashes(database: Database) -> None:
    # With a loop factory the runner leaves the session's loop in its place.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        run_state_machine_as_test(
            lambda: Outbox(Runner(runner), database),  # type: ignore[arg-type]  # it takes any factory
            settings=settings(
                max_examples=examples(30),
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
