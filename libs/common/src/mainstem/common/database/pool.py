"""Postgres: one pool of asyncpg connections a process, and transactions on it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from mainstem.common.database import guards

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.Connection

POOL_SIZE = 10
TRANSACTION_SECONDS = 30.0
"""Longest use of a connection, the wait for it included, in a worker or a command."""
REQUEST_SECONDS = 10.0
"""The same in a process that answers requests."""
CANCEL_SECONDS = 2.0
"""Part of it that is kept for Postgres to cancel a statement; after that the connection is closed."""
CONNECT_TIMEOUT_SECONDS = 5.0
CLOSE_SECONDS = 5.0

DATABASE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # Raised by asyncpg when Postgres closed the connection between two statements.
    asyncpg.InternalClientError,
)
"""Errors of a statement: the database is away, or refuses the statement."""


class Transactions(Protocol):
    """Whatever hands out transactions: a `Pool` or a `Database`."""

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Return a context manager that gives a connection in a transaction; it commits at its end."""
        ...


class Statements(Protocol):
    """Whatever hands out connections for single statements: a `Pool` or a `Database`."""

    def statement(self) -> AbstractAsyncContextManager[Connection]:
        """Return a context manager that gives a connection for one statement, which commits by itself."""
        ...


class Connections(Transactions, Statements, Protocol):
    """Whatever hands out both."""


class Pool:
    """Plain asyncpg connections, at most ten a process.

    Args:
        pool: the driver's pool.
        seconds: longest use of a connection, the wait for it included; then it is closed.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], seconds: float = TRANSACTION_SECONDS) -> None:
        self._pool = pool
        self._seconds = seconds

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Give a connection in a transaction: commits at the end, rolls back on an error."""
        async with self.statement() as connection, guards.transaction(connection):
            yield connection

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Connection]:
        """Give a connection for one statement, which commits by itself: one round trip instead of three."""
        until = asyncio.get_running_loop().time() + self._seconds
        connection = await self._pool.acquire(timeout=self._seconds)
        with guards.limited(connection, until):
            try:
                with guards.closed_if_cancelled(connection):
                    yield connection
            except asyncpg.ReadOnlySQLTransactionError:
                # After a failover all older connections lead to the former primary.
                await self._pool.expire_connections()
                raise
            finally:
                await self._pool.release(connection)


@asynccontextmanager
async def open_pool(
    url: str, *, name: str, size: int = POOL_SIZE, seconds: float = TRANSACTION_SECONDS
) -> AsyncIterator[Pool]:
    """Open a pool that connects when it is first used; `name` is what Postgres shows of this process."""
    pool = asyncpg.create_pool(
        plain_url(url),
        min_size=0,
        max_size=size,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=seconds - CANCEL_SECONDS,
        server_settings={"application_name": name, "timezone": "UTC"},
        reset=_leave,
    )
    await pool
    try:
        yield Pool(pool, seconds)
    finally:
        # asyncpg ends what does not close in time; it waits for ever by itself.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()


async def _leave(_connection: Connection) -> None:
    """Leave a connection as its transaction did; asyncpg's own reset takes another round trip each time.

    Transactions are all that is handed out, and nothing in them is meant to outlive them (`SET LOCAL`,
    `pg_advisory_xact_lock`). asyncpg itself rolls back what was left open.
    """


def plain_url(url: str) -> str:
    """Return the URL as asyncpg takes it, also if it names SQLAlchemy's driver."""
    return urlunsplit(urlsplit(url)._replace(scheme="postgresql"))
