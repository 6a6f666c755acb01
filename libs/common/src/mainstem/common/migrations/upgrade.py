"""Upgrade of a database to this package's version: history, version row and grants in one transaction."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from mainstem.common.database.sessions import create_engine, plain
from mainstem.common.migrations import grants
from mainstem.common.migrations.version import OLDEST_READER, VERSION, SchemaVersionError, find_state
from mainstem.common.models import SCHEMAS

LOCK = "SELECT pg_advisory_xact_lock(hashtext('mainstem.migrations'))"


async def upgrade(url: str) -> int:
    """Migrate the database at `url`, as its owner, and return its version. Safe to repeat and to race.

    A database that is newer is left as it is, if it still serves this version.

    Raises:
        SchemaVersionError: the database is too new for this package.
    """
    engine = create_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text(LOCK))
            state = await find_state(await plain(connection))
            if state is not None and state[0] > VERSION:
                return _accept_newer(*state)
            await _migrate(connection)
            return VERSION
    finally:
        await engine.dispose()


def _accept_newer(version: int, oldest_reader: int) -> int:
    if oldest_reader > VERSION:
        raise SchemaVersionError(
            f"the database is at schema {version} and serves {oldest_reader} and newer; "
            f"this package knows {VERSION}: deploy a newer image"
        )
    return version


async def _migrate(connection: AsyncConnection) -> None:
    for schema in ("mainstem", *SCHEMAS):
        await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
    await connection.run_sync(_run_history)
    await connection.execute(
        text(
            "INSERT INTO mainstem.state (one, version, oldest_reader) VALUES (true, :version, :oldest_reader)"
            " ON CONFLICT (one) DO UPDATE SET version = :version, oldest_reader = :oldest_reader"
        ),
        {"version": VERSION, "oldest_reader": OLDEST_READER},
    )
    for statement in grants.statements():
        await connection.execute(text(statement))


def config(connection: Connection) -> Config:
    """Return Alembic's configuration for this package's history on an open connection."""
    configuration = Config()
    configuration.set_main_option("script_location", "mainstem.common:migrations")
    configuration.set_main_option("path_separator", "os")
    configuration.attributes["connection"] = connection
    return configuration


def _run_history(connection: Connection) -> None:
    command.upgrade(config(connection), "head")
