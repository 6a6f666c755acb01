"""Database transactions of commands."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mainstem.common.database.pool import DATABASE_ERRORS, Connection, open_pool
from mainstem.common.errors import UnavailableError
from mainstem.common.migrations import version
from mainstem.gateway.settings import StoreSettings

T = TypeVar("T")


def transact(work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run one transaction on the database that the environment names.

    Raises:
        UnavailableError: the database does not answer, or refuses.
        SchemaVersionError: the schema has another version than this program.
    """
    url = StoreSettings.from_environment().database_url.get_secret_value()

    async def run() -> T:
        async with open_pool(url, name="gateway-command", size=1) as pool, pool.transaction() as connection:
            await version.check(connection)
            return await work(connection)

    try:
        return asyncio.run(run())
    except DATABASE_ERRORS as error:
        raise UnavailableError(f"the database does not serve this: {type(error).__name__}") from error
