"""Databases that tests share: one that was reset equals a new one; one that cannot be reset is dropped."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import pytest
from servers import Database, MakeDatabase, drop, make_clone
from stores import Connection, Stores

from mainstem.sandbox.servers.postgres import Postgres

TABLES = """
SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p', 'S') AND nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1
"""
SIZES = """
SELECT format('%I.%I', nspname, relname), pg_relation_size(c.oid),
    CASE WHEN relkind IN ('r', 'p') THEN (relpages, reltuples) END
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1
"""
COLUMNS = """
SELECT format('%I.%I', nspname, relname) AS table, attname AS name, format_type(atttypid, NULL) AS type,
    attnotnull AND NOT atthasdef AND attidentity = '' AS is_needed
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p') AND NOT relispartition AND attnum > 0 AND NOT attisdropped
    AND nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY attnum
"""
VALUES = {
    "bigint": "1",
    "boolean": "true",
    "bytea": "''",
    "character varying": "'x'",
    "integer": "1",
    "jsonb": "'{}'",
    "smallint": "1",
    "text": "'x'",
    "text[]": "'{}'",
    "timestamp with time zone": "'2024-01-01T00:00:00Z'",
    "uuid": "gen_random_uuid()",
}
"""A value of each type."""
SEEDED = {"gateway.permission", "gateway.role", "mainstem.alembic_version", "mainstem.state"}
"""Tables that the migrations fill."""
TABLE = "gateway.api_client"
SEQUENCE = "subscription.rule_activation_id_seq"
INSERT = "INSERT INTO {table} VALUES ('x', 'x', 'x', true, '{{}}', now(), now())"


@pytest.fixture(scope="module")
async def stores(postgres: Postgres, template: str) -> AsyncIterator[Stores[Database]]:
    """Stores of this module's own."""
    stores = Stores(partial(make_clone, postgres, template), partial(drop, postgres), postgres.superuser_url)
    yield stores
    await stores.close()


@asynccontextmanager
async def superuser(postgres: Postgres, database: Database) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(postgres.superuser_url(database.name))
    yield connection
    await connection.close()


async def contents(connection: Connection) -> dict[str, list[str]]:
    """Return the rows of every table, the values of every sequence, and the sizes of all of them."""
    names = [name for (name,) in await connection.fetch(TABLES)]
    return {
        name: [str(row) for row in await connection.fetch(f"SELECT * FROM {name} ORDER BY 1")]
        for name in names
    } | {"sizes": [str(row) for row in await connection.fetch(SIZES)]}


async def fill(connection: Connection) -> None:
    """Put a row into every table, and take a value from every sequence."""
    await connection.execute("SET session_replication_role = replica")  # no foreign keys
    columns = await connection.fetch(COLUMNS)
    tables = {row["table"] for row in columns}
    for table in sorted(tables - SEEDED):
        needed = [row for row in columns if row["table"] == table and row["is_needed"]]
        names = ", ".join(f'"{row["name"]}"' for row in needed)
        values = ", ".join(VALUES[row["type"]] for row in needed)
        await connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})")
    await connection.execute("SELECT nextval(format('%I.%I', schemaname, sequencename)) FROM pg_sequences")


async def test_database_that_is_lent_again_equals_a_new_one(
    postgres: Postgres, stores: Stores[Database], make_database: MakeDatabase
) -> None:
    async with superuser(postgres, await make_database()) as connection:
        fresh = await contents(connection)
    async with stores.lent() as first, superuser(postgres, first) as connection:
        await fill(connection)
        filled = await contents(connection)
        assert {name for name in filled if filled[name] == fresh[name]} == SEEDED
    async with stores.lent() as second, superuser(postgres, second) as connection:
        assert second.name == first.name
        assert await contents(connection) == fresh


@pytest.mark.parametrize(
    "changes",
    [
        ("SELECT setval('{sequence}', 5000, false)",),
        ("SELECT setval('{sequence}', 5000)",),
        (INSERT, "DELETE FROM {table}"),
        (INSERT, "DELETE FROM {table}", "ANALYZE {table}"),
        (INSERT, "DELETE FROM {table}", "VACUUM {table}"),
        ("BEGIN", INSERT, "ROLLBACK"),
        ("ANALYZE {table}",),
    ],
    ids=lambda changes: "; ".join(changes).format(table="t", sequence="s"),
)
async def test_values_and_pages_that_are_left_without_a_row_are_reset(
    postgres: Postgres, stores: Stores[Database], make_database: MakeDatabase, changes: tuple[str, ...]
) -> None:
    async with superuser(postgres, await make_database()) as connection:
        fresh = await contents(connection)
    async with stores.lent() as first, superuser(postgres, first) as connection:
        for change in changes:
            await connection.execute(change.format(table=TABLE, sequence=SEQUENCE))
        assert await contents(connection) != fresh
    async with stores.lent() as second, superuser(postgres, second) as connection:
        assert second.name == first.name
        assert await contents(connection) == fresh


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE inbox.event ADD COLUMN more TEXT",
        "ALTER TABLE inbox.event ALTER COLUMN due_at SET DEFAULT now()",
        "ALTER TABLE inbox.event SET (fillfactor = 50)",
        "CREATE TABLE gateway.more ()",
        "CREATE SCHEMA more",
        "CREATE INDEX ON inbox.event (failures)",
        "CREATE VIEW public.more AS SELECT 1",
        "CREATE FUNCTION public.more() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "GRANT SELECT ON inbox.event TO mainstem_billing",
        "GRANT SELECT (failures) ON inbox.event TO mainstem_billing",
        "GRANT CREATE ON SCHEMA public TO mainstem_billing",
        "REVOKE CONNECT ON DATABASE {database} FROM public",
        "ALTER DATABASE {database} SET default_transaction_read_only = on",
        "ALTER ROLE mainstem_billing IN DATABASE {database} SET statement_timeout = 1",
        "DELETE FROM gateway.permission",
        "UPDATE mainstem.state SET version = version + 1",
        "ANALYZE mainstem.state",
        "CREATE SEQUENCE public.more",
    ],
)
async def test_database_that_a_reset_does_not_make_as_new_is_dropped(
    postgres: Postgres, stores: Stores[Database], change: str
) -> None:
    async with stores.lent() as first, superuser(postgres, first) as connection:
        await connection.execute(change.format(database=first.name))
    async with stores.lent() as second:
        assert second.name != first.name
    assert not await exists(postgres, first)


async def test_database_that_is_still_connected_to_is_dropped(
    postgres: Postgres, stores: Stores[Database]
) -> None:
    async with stores.lent() as first:
        left = await asyncpg.connect(first.urls["sync"])
        await left.execute("SELECT pg_advisory_lock(1)")
    async with stores.lent() as second:
        assert second.name != first.name
    assert not await exists(postgres, first)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await left.execute("SELECT 1")


async def test_database_that_was_dropped_while_lent_is_replaced(
    postgres: Postgres, stores: Stores[Database]
) -> None:
    async with stores.lent() as first:
        await drop(postgres, first)
    async with stores.lent() as second:
        assert second.name != first.name


async def test_two_borrowers_at_a_time_get_a_database_each(stores: Stores[Database]) -> None:
    async with stores.lent() as first, stores.lent() as second:
        assert first.name != second.name


async def exists(postgres: Postgres, database: Database) -> bool:
    connection = await asyncpg.connect(postgres.superuser_url())
    try:
        found: bool = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database.name
        )
        return found
    finally:
        await connection.close()
