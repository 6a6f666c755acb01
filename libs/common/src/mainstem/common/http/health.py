"""Readiness checks: database, schema version, wake-ups, drain loops."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import structlog

from mainstem.common.database.pool import Transactions
from mainstem.common.migrations import version
from mainstem.common.queue.drain import DrainLoop
from mainstem.common.queue.waker import Waker

SCHEMA_WAIT_SECONDS = 30.0
ANSWER_SECONDS = 4.0
"""Longest wait for Postgres' answer to a heartbeat."""

READ_ONLY = "SELECT current_setting('transaction_read_only') = 'on'"

log = structlog.get_logger()


@dataclass(frozen=True)
class Check:
    """One thing that `/__heartbeat__` asks; what is not needed to work is a detail, never a 503."""

    ask: Callable[[], Awaitable[bool]]
    is_needed: bool = True


def database_check(database: Transactions) -> Check:
    """Return whether Postgres answers in time and may be written to; without it nothing can be done."""

    async def ask() -> bool:
        async with asyncio.timeout(ANSWER_SECONDS):
            try:
                await _demand_writable(database)
            except asyncpg.ReadOnlySQLTransactionError:
                # A pooled connection leads to a former primary; a fresh one leads to the present server.
                await _demand_writable(database)
        return True

    return Check(ask)


async def _demand_writable(database: Transactions) -> None:
    """Pass if the server may be written to.

    Raises:
        asyncpg.ReadOnlySQLTransactionError: it is a standby; the pool closes this connection.
    """
    async with database.transaction() as connection:
        if await connection.fetchval(READ_ONLY):
            raise asyncpg.ReadOnlySQLTransactionError("the server is read-only")


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
