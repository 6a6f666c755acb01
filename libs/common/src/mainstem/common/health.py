"""What a process asks before it calls itself ready: database, schema, wake-ups, drain loops."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import structlog

from mainstem.common.database import Transactions
from mainstem.common.jobs import DrainLoop, Waker
from mainstem.common.migrations import version

SCHEMA_WAIT_SECONDS = 30.0

log = structlog.get_logger()


@dataclass(frozen=True)
class Check:
    """One thing that `/__heartbeat__` asks; what is not needed to work is a detail, never a 503."""

    ask: Callable[[], Awaitable[bool]]
    is_needed: bool = True


def database_check(database: Transactions) -> Check:
    """Return whether Postgres answers; without it nothing can be done."""

    async def ask() -> bool:
        async with database.transaction() as connection:
            return bool(await connection.fetchval("SELECT true"))

    return Check(ask)


def redis_check(waker: Waker) -> Check:
    """Return whether Redis answers; without it work is found by polling."""
    return Check(waker.is_up, is_needed=False)


def drain_checks(loops: Sequence[DrainLoop]) -> Mapping[str, Check]:
    """Return whether each drain loop came round lately."""

    def check(loop: DrainLoop) -> Check:
        async def ask() -> bool:
            return loop.is_alive

        return Check(ask)

    return {f"drain_{loop.drain.name}": check(loop) for loop in loops}


async def require_schema(database: Transactions) -> None:
    """Pass once the database answers and has a schema that this package can use.

    Raises:
        SchemaVersionError: it is too old, or too new.
        OSError: it did not answer in half a minute.
    """
    async with asyncio.timeout(SCHEMA_WAIT_SECONDS):
        while True:
            try:
                async with database.transaction() as connection:
                    await version.check(connection)
            except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as error:
                log.warning("database.connect_failed", error=type(error).__name__)
                await asyncio.sleep(1.0)
            else:
                return
