"""Postgres: one pool a process, transactions on it, and SQLModel sessions for what is not hot.

`Pool` is asyncpg alone, for processes without an ORM; `Database` adds sessions on SQLAlchemy's pool.
Both hand out plain asyncpg connections, so storage code does not care which one a process opened.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit, urlunsplit

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from asyncpg.pool import PoolConnectionProxy
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlmodel.ext.asyncio.session import AsyncSession

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.Connection

POOL_SIZE = 10
COMMAND_TIMEOUT_SECONDS = 30.0
CONNECT_TIMEOUT_SECONDS = 5.0

DATABASE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # What asyncpg says of a connection on which Postgres said farewell between two statements.
    asyncpg.InternalClientError,
)
"""What a statement raises when the database is away, or refuses it."""


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
    """Plain asyncpg connections, at most ten a process."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Give a connection in a transaction: commits at the end, rolls back on an error."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Connection]:
        """Give a connection for one statement, which commits by itself: one round trip instead of three."""
        async with self._pool.acquire() as connection:
            yield connection


@asynccontextmanager
async def open_pool(url: str, *, name: str, size: int = POOL_SIZE) -> AsyncIterator[Pool]:
    """Open a pool that connects when it is first used; `name` is what Postgres shows of this process."""
    pool = asyncpg.create_pool(
        plain_url(url),
        min_size=0,
        max_size=size,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=COMMAND_TIMEOUT_SECONDS,
        server_settings={"application_name": name, "timezone": "UTC"},
        reset=_leave,
    )
    async with pool:
        yield Pool(pool)


async def _leave(_connection: Connection) -> None:
    """Leave a connection as its transaction did; asyncpg's own reset takes another round trip each time.

    Transactions are all that is handed out, and nothing in them is meant to outlive them (`SET LOCAL`,
    `pg_advisory_xact_lock`). asyncpg itself rolls back what was left open.
    """


class Database:
    """SQLModel sessions and plain connections out of one SQLAlchemy pool."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Give a session in a transaction: commits at the end, rolls back on an error."""
        from sqlmodel.ext.asyncio.session import AsyncSession  # noqa: PLC0415 -- see the class Pool: no ORM unless asked

        async with AsyncSession(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Give a plain connection in a transaction: commits at the end, rolls back on an error.

        It raises what a `Pool` raises, also when Postgres takes no connection.
        """
        async with self._connect() as outer:
            connection = await _driver_connection(outer)
            async with connection.transaction():
                yield connection

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Connection]:
        """Give a plain connection for one statement, which commits by itself."""
        async with self._connect() as outer:
            yield await _driver_connection(outer)

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[AsyncConnection]:
        from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 -- no ORM unless asked

        outer = self._engine.connect()
        try:
            await outer.start()
        except DBAPIError as error:
            # Whoever runs plain SQL knows the driver's errors, not SQLAlchemy's.
            raise error.driver_exception from None
        try:
            yield outer
        finally:
            await outer.close()


@asynccontextmanager
async def open_database(url: str, *, name: str, size: int = POOL_SIZE) -> AsyncIterator[Database]:
    """Open a pool that connects when it is first used; `name` is what Postgres shows of this process."""
    from sqlalchemy import event  # noqa: PLC0415 -- no ORM unless asked
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 -- no ORM unless asked

    engine = create_async_engine(
        driver_url(url),
        pool_size=size,
        max_overflow=0,
        connect_args={
            "timeout": CONNECT_TIMEOUT_SECONDS,
            "command_timeout": COMMAND_TIMEOUT_SECONDS,
            "server_settings": {"application_name": name, "timezone": "UTC"},
        },
    )
    event.listen(engine.sync_engine, "checkout", _refuse_lost)
    try:
        yield Database(engine)
    finally:
        await engine.dispose()


def _refuse_lost(adapted: Any, *_: object) -> None:
    """Have the pool start anew when it hands out a connection that Postgres has closed.

    SQLAlchemy sees only errors of its own statements: a connection that was lost under plain asyncpg
    would stay in the pool for ever. This needs no round trip, as its own ping does.
    """
    from sqlalchemy.exc import InvalidatePoolError  # noqa: PLC0415 -- no ORM unless asked

    if adapted.driver_connection.is_closed():
        raise InvalidatePoolError


async def plain(transaction: AsyncConnection | AsyncSession) -> Connection:
    """Return the asyncpg connection below an open SQLAlchemy transaction, to run plain SQL in it."""
    connection = transaction
    if not hasattr(connection, "exec_driver_sql"):
        connection = await cast("AsyncSession", transaction).connection()
    outer = cast("AsyncConnection", connection)
    # SQLAlchemy begins with its first statement: without one, plain SQL would run outside the transaction.
    await outer.exec_driver_sql("SELECT 1")
    return await _driver_connection(outer)


async def _driver_connection(outer: AsyncConnection) -> Connection:
    return cast("Connection", (await outer.get_raw_connection()).driver_connection)


def plain_url(url: str) -> str:
    """Return the URL as asyncpg takes it."""
    return _with_scheme(url, "postgresql")


def driver_url(url: str) -> str:
    """Return the URL as SQLAlchemy takes it."""
    return _with_scheme(url, "postgresql+asyncpg")


def _with_scheme(url: str, scheme: str) -> str:
    return urlunsplit(urlsplit(url)._replace(scheme=scheme))
