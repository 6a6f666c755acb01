"""Database of a command: one connection, open for one call."""

from typing import Any

from mainstem.ingest.settings import Settings


async def in_transaction(act: Any, *values: Any) -> Any:
    """Return what `act` returns, called with a connection in a transaction and these values."""

    async def transact(pool: Any) -> Any:
        async with pool.transaction() as connection:
            return await act(connection, *values)

    return await with_database(transact)


async def with_database(act: Any, *values: Any) -> Any:
    """Return what `act` returns, called with a pool and these values.

    Raises:
        UnavailableError: the database is away, or refuses a statement.
    """
    from mainstem.common.database.pool import DATABASE_ERRORS, open_pool  # noqa: PLC0415 -- so that `--help` does not wait for it
    from mainstem.common.errors import UnavailableError  # noqa: PLC0415 -- so that `--help` does not wait for it

    url = Settings.from_environment().database_url.get_secret_value()
    try:
        async with open_pool(url, name="ingest-command", size=1) as pool:
            return await act(pool, *values)
    except DATABASE_ERRORS as error:
        raise UnavailableError(f"the database does not serve this: {type(error).__name__}") from error
