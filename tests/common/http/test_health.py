import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from connections import Connect
from servers import Database

from mainstem.common.database.pool import Connection, Transactions, open_pool
from mainstem.common.http.health import database_check, drain_checks, redis_check, require_schema
from mainstem.common.migrations.version import SchemaVersionError
from mainstem.common.queue.drain import STALLED_SECONDS, Drain, DrainLoop
from mainstem.common.queue.waker import open_waker
from mainstem.sandbox.servers.ports import Ports


class LateDatabase:
    """A database that refuses its first connection, as one that is being started does."""

    def __init__(self, database: Transactions) -> None:
        self.refusals = 1
        self._database = database

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        if self.refusals:
            self.refusals -= 1
            raise ConnectionRefusedError
        async with self._database.transaction() as connection:
            yield connection


async def test_a_process_waits_for_a_database_that_is_being_started(database: Database) -> None:
    async with open_pool(database.urls["gateway"], name="test") as pool:
        late = LateDatabase(pool)
        await require_schema(late)
        assert late.refusals == 0


async def test_a_process_does_not_wait_for_a_schema_that_is_too_old(
    database: Database, connect: Connect
) -> None:
    await (await connect("owner")).execute("UPDATE mainstem.state SET version = 0, oldest_reader = 0")
    started_at = time.monotonic()
    async with open_pool(database.urls["gateway"], name="test") as pool:
        with pytest.raises(SchemaVersionError, match="mainstem database upgrade"):
            await require_schema(pool)
    assert time.monotonic() - started_at < 5


async def test_the_database_is_needed_and_asked(database: Database, ports: Ports) -> None:
    async with open_pool(database.urls["gateway"], name="test") as pool:
        check = database_check(pool)
        assert await check.ask()
        assert check.is_needed
    async with open_pool(f"postgresql://a:b@127.0.0.1:{ports.take()}/none", name="test") as pool:
        with pytest.raises(OSError, match="Connect call failed"):
            await database_check(pool).ask()


async def test_redis_is_a_detail(redis_url: str) -> None:
    async with open_waker(redis_url) as waker:
        assert await redis_check(waker).ask()
    async with open_waker(None) as nobody:
        check = redis_check(nobody)
        assert not await check.ask()
        assert not check.is_needed


async def test_a_drain_loop_that_stands_still_is_found_out() -> None:
    async def work() -> int:
        return 0

    loop = DrainLoop(Drain("events", work, 1), wake_sibling=lambda: None)
    ((name, check),) = drain_checks([loop]).items()
    assert name == "drain_events"
    assert check.is_needed
    assert await check.ask()
    loop.seen_at -= STALLED_SECONDS
    assert not await check.ask()
