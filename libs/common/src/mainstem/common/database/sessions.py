"""SQLModel sessions and plain connections out of SQLAlchemy's pool, for code that is not hot."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import asyncpg

from mainstem.common.database import guards
from mainstem.common.database.pool import (
    CANCEL_SECONDS,
    CONNECT_TIMEOUT_SECONDS,
    POOL_SIZE,
    TRANSACTION_SECONDS,
    plain_url,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncpg.pool import PoolConnectionProxy
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlmodel.ext.asyncio.session import AsyncSession

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.Connection


class Database:
    """SQLModel sessions and plain connections out of one SQLAlchemy pool.

    Args:
        engine: its pool.
        seconds: longest use of a connection, the wait for it included; then it is closed.
    """

    def __init__(self, engine: AsyncEngine, seconds: float = TRANSACTION_SECONDS) -> None:
        from sqlalchemy import event  # noqa: PLC0415 -- no ORM unless asked

        self._engine = engine
        self._seconds = seconds
        self._has_failed_over = False
        event.listen(engine.sync_engine, "checkout", self._refuse_lost)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Give a session in a transaction: commits at the end, rolls back on an error.

        It raises the driver's errors, not SQLAlchemy's.
        """
        from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 -- see the class Pool: no ORM unless asked
        from sqlmodel.ext.asyncio.session import AsyncSession  # noqa: PLC0415 -- as above

        async with self._connect() as (outer, connection):
            try:
                async with AsyncSession(outer, expire_on_commit=False) as session:
                    # Here and not further out, since the session rolls back as it closes.
                    with guards.closed_if_cancelled(connection):
                        yield session
                        await session.commit()
            except DBAPIError as error:
                raise error.driver_exception from None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Give a plain connection in a transaction: commits at the end, rolls back on an error.

        It raises what a `Pool` raises, also when Postgres takes no connection.
        """
        async with self.statement() as connection, guards.transaction(connection):
            yield connection

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Connection]:
        """Give a plain connection for one statement, which commits by itself."""
        async with self._connect() as (_, connection):
            yield connection

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[tuple[AsyncConnection, Connection]]:
        """Give SQLAlchemy's connection and the driver's below it."""
        from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 -- no ORM unless asked

        until = asyncio.get_running_loop().time() + self._seconds
        outer = self._engine.connect()
        try:
            async with asyncio.timeout_at(until):
                await outer.start()
        except DBAPIError as error:
            raise error.driver_exception from None
        connection = await _driver_connection(outer)
        with guards.limited(connection, until):
            try:
                with guards.closed_if_cancelled(connection):
                    yield outer, connection
            except asyncpg.ReadOnlySQLTransactionError:
                self._has_failed_over = True
                raise
            finally:
                if connection.is_closed():
                    await outer.invalidate()
                await outer.close()

    def _refuse_lost(self, adapted: Any, *_: object) -> None:
        """Have the pool start anew after a failover, or when it hands out a connection that is closed.

        SQLAlchemy sees only errors of its own statements: a connection that was lost under plain asyncpg
        would stay in the pool for ever. This needs no round trip, as its own ping does.
        """
        from sqlalchemy.exc import InvalidatePoolError  # noqa: PLC0415 -- no ORM unless asked

        if self._has_failed_over or adapted.driver_connection.is_closed():
            self._has_failed_over = False
            raise InvalidatePoolError


@asynccontextmanager
async def open_database(
    url: str, *, name: str, size: int = POOL_SIZE, seconds: float = TRANSACTION_SECONDS
) -> AsyncIterator[Database]:
    """Open a pool that connects when it is first used; `name` is what Postgres shows of this process."""
    engine = create_engine(
        url,
        pool_size=size,
        max_overflow=0,
        connect_args={
            "timeout": CONNECT_TIMEOUT_SECONDS,
            "command_timeout": seconds - CANCEL_SECONDS,
            "server_settings": {"application_name": name, "timezone": "UTC"},
        },
    )
    try:
        yield Database(engine, seconds)
    finally:
        await engine.dispose()


def create_engine(url: str, *, connect_args: dict[str, Any] | None = None, **options: Any) -> AsyncEngine:
    """Return SQLAlchemy's engine on the driver's connections; it connects when it is first used.

    The driver itself reads the URL: SQLAlchemy refuses parameters of libpq's, such as `sslmode`.
    """
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 -- no ORM unless asked

    connect = partial(asyncpg.connect, plain_url(url), **connect_args or {})
    return create_async_engine("postgresql+asyncpg://", async_creator=connect, **options)


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
