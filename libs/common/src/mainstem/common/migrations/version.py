"""Schema version: the one that this code needs, and the check of the database's own."""

from mainstem.common.database.pool import Connection
from mainstem.common.errors import MainstemError

VERSION = 1
"""The number of the newest migration in this package."""

OLDEST_READER = 1
"""The oldest package that still works on a database of `VERSION`: migrations expand before they contract."""


class SchemaVersionError(MainstemError):
    """The database and this package do not fit together."""


async def find_state(connection: Connection) -> tuple[int, int] | None:
    """Return the database's (version, oldest reader), or None before the first migration."""
    if await connection.fetchval("SELECT to_regclass('mainstem.state')") is None:
        return None
    row = await connection.fetchrow("SELECT version, oldest_reader FROM mainstem.state")
    return None if row is None else (row["version"], row["oldest_reader"])


async def check(connection: Connection) -> None:
    """Pass if this package may use the database.

    Raises:
        SchemaVersionError: the database is older, or too new for this package.
    """
    state = await find_state(connection)
    if state is None or state[0] < VERSION:
        found = "no schema" if state is None else f"schema {state[0]}"
        raise SchemaVersionError(
            f"the database has {found}, {VERSION} is needed: run `mainstem database upgrade`"
        )
    if state[1] > VERSION:
        raise SchemaVersionError(
            f"the database serves schema {state[1]} and newer, this package is at {VERSION}: "
            "deploy a newer image"
        )
