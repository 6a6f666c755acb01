"""A Postgres that hangs: whatever waits for it ends in time, and goes on when it answers again."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import asyncpg
import pytest
from hanging import hanging
from servers import Database
from sqlalchemy import text

from mainstem.common.database.faults import is_away
from mainstem.common.database.pool import open_pool
from mainstem.common.database.sessions import open_database

SECONDS = 2.5
"""Longest use of a connection here."""

OPEN = [open_pool, open_database]


async def ask(opened: Any) -> int:
    async with opened.transaction() as connection:
        return int(await connection.fetchval("SELECT 1"))


async def ask_once(opened: Any) -> int:
    async with opened.statement() as connection:
        return int(await connection.fetchval("SELECT 1"))


async def ask_in_a_session(opened: Any) -> int:
    async with opened.session() as session:
        return int((await session.exec(text("SELECT 1"))).scalar_one())


async def until_it_works(opened: Any, asking: Any) -> None:
    """Return once five at a time are answered; on a busy machine the first ones may be late."""
    async with asyncio.timeout(60):
        while set(await asyncio.gather(*(asking(opened) for _ in range(5)), return_exceptions=True)) != {1}:
            pass


WAYS = [
    (open_pool, ask),
    (open_pool, ask_once),
    (open_database, ask),
    (open_database, ask_once),
    (open_database, ask_in_a_session),
]


async def together(*checks: Coroutine[Any, Any, None]) -> None:
    """Run checks at the same time: most of each is a wait for a time limit."""
    async with asyncio.TaskGroup() as group:
        for check in checks:
            group.create_task(check)


async def fail_in_time(database: Database, open_any: Any, asking: Any, known: int) -> None:
    async with hanging(database.urls["sync"]) as way:
        url = way.url(database.urls["sync"])
        async with open_any(url, name="hanging", size=2, seconds=SECONDS) as opened:
            await asyncio.gather(*(asking(opened) for _ in range(known)))
            way.flows.clear()
            async with asyncio.timeout(2 * SECONDS):
                answers = await asyncio.gather(*(asking(opened) for _ in range(5)), return_exceptions=True)
            assert all(isinstance(one, Exception) and is_away(one) for one in answers), (
                open_any,
                asking,
                answers,
            )
            way.flows.set()
            await until_it_works(opened, asking)


@pytest.mark.parametrize("known", [0, 2], ids=["no connection yet", "as many as there may be"])
async def test_whatever_waits_for_a_postgres_that_hangs_fails_in_time_and_works_afterwards(
    module_database: Database, known: int
) -> None:
    await together(*(fail_in_time(module_database, open_any, asking, known) for open_any, asking in WAYS))


async def end_when_cancelled(database: Database, open_any: Any, asking: Any) -> None:
    async with hanging(database.urls["sync"]) as way:
        url = way.url(database.urls["sync"])
        async with open_any(url, name="hanging", size=1, seconds=30.0) as opened:
            assert await asking(opened) == 1
            way.flows.clear()
            # In time, and not when the cancelled statement's own end has been waited for.
            async with asyncio.timeout(15):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await asking(opened)
            way.flows.set()
            assert await asking(opened) == 1


async def test_who_is_cancelled_while_postgres_hangs_ends_at_once(module_database: Database) -> None:
    await together(*(end_when_cancelled(module_database, open_any, asking) for open_any, asking in WAYS))


async def close_while_hung(database: Database, open_any: Any, asking: Any) -> None:
    async with hanging(database.urls["sync"]) as way:
        url = way.url(database.urls["sync"])
        async with asyncio.timeout(30), open_any(url, name="hanging", size=1, seconds=SECONDS) as opened:
            assert await asking(opened) == 1
            way.flows.clear()
            hung = asyncio.create_task(asking(opened))
            await asyncio.sleep(0.1)
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await hung


async def test_a_pool_is_closed_while_postgres_hangs(module_database: Database) -> None:
    await together(*(close_while_hung(module_database, open_any, asking) for open_any, asking in WAYS))


async def linger(opened: Any) -> None:
    async with opened.transaction() as connection:
        await asyncio.sleep(SECONDS + 0.5)
        await connection.fetchval("SELECT 1")


async def end_a_long_use(database: Database, open_any: Any) -> None:
    async with open_any(database.urls["sync"], name="lingers", size=1, seconds=SECONDS) as opened:
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)) as caught:
            await linger(opened)
        assert is_away(caught.value)
        assert await ask(opened) == 1


async def test_a_use_that_lasts_too_long_is_ended(module_database: Database) -> None:
    await together(*(end_a_long_use(module_database, open_any) for open_any in OPEN))


@pytest.mark.parametrize("open_any", OPEN)
async def test_a_lock_that_another_holds_ends_the_wait_and_keeps_the_connection(
    module_database: Database, open_any: Any
) -> None:
    holder = await asyncpg.connect(module_database.urls["sync"])
    try:
        async with open_any(module_database.urls["sync"], name="locked", size=1, seconds=SECONDS) as opened:
            async with opened.transaction() as connection:
                before = await connection.fetchval("SELECT pg_backend_pid()")
            await holder.execute("SELECT pg_advisory_lock(1)")
            with pytest.raises(TimeoutError):
                async with opened.transaction() as connection:
                    await connection.execute("SELECT pg_advisory_xact_lock(1)")
            async with opened.transaction() as connection:
                assert await connection.fetchval("SELECT pg_backend_pid()") == before
    finally:
        await holder.close()


async def write_read_only(opened: Any) -> None:
    async with opened.transaction() as connection:
        await connection.execute("SET TRANSACTION READ ONLY")
        await connection.execute("DELETE FROM contact.contact")


@pytest.mark.parametrize("open_any", OPEN)
async def test_a_connection_to_a_read_only_server_is_not_given_out_again(
    module_database: Database, open_any: Any
) -> None:
    async with open_any(module_database.urls["sync"], name="failed over", size=1) as opened:
        async with opened.transaction() as connection:
            before = await connection.fetchval("SELECT pg_backend_pid()")
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError) as caught:
            await write_read_only(opened)
        assert is_away(caught.value)
        async with opened.transaction() as connection:
            assert await connection.fetchval("SELECT pg_backend_pid()") != before
