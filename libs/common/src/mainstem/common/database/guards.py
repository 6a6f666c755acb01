"""Guards of a connection in use: its transaction, its time limit, and its end when it is cancelled."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]


@asynccontextmanager
async def transaction(connection: Connection) -> AsyncIterator[None]:
    """Run a transaction whose own error is raised, also when the connection fails to roll back.

    A cancelled transaction does not roll back: its connection is closed.
    """
    running = connection.transaction()
    try:
        await running.start()
        yield
        await running.commit()
    except Exception:
        try:
            await running.rollback()
        except Exception:  # noqa: BLE001 -- the transaction's own error says more, and is raised
            _close(connection)
        raise


@contextmanager
def limited(connection: Connection, until: float) -> Iterator[None]:
    """Close a connection that is still in use at `until`, by the loop's time: its statement then fails.

    Nothing less ends the wait for a Postgres that hangs: a cancelled statement waits for Postgres' answer
    to the cancellation, and so does the connection's return to the pool.
    """
    timer = asyncio.get_running_loop().call_at(until, _close, connection)
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def closed_if_cancelled(connection: Connection) -> Iterator[None]:
    """Close a connection whose use was cancelled: to be used again, it would have to wait for Postgres."""
    try:
        yield
    except asyncio.CancelledError:
        _close(connection)
        raise


def _close(connection: Connection) -> None:
    # The pool's proxy of a connection that is closed already has none, and raises.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()
