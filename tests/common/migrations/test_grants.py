from dataclasses import dataclass

import asyncpg
import pytest
from connections import Connect
from servers import Database

from mainstem.common.database.pool import Connection
from mainstem.common.migrations import grants
from mainstem.common.migrations.upgrade import upgrade
from mainstem.common.models import SCHEMAS

PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
WRITER = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
SERVICES = ("ingest", "sync", "billing", "gateway")

RELATIONS = """
SELECT nspname AS schema, relname AS name FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v') AND nspname <> 'information_schema' AND nspname !~ '^pg_'
"""
# Partitions are relations of their own here, with grants of their own.

HELD = """
SELECT privilege FROM unnest($3::text[]) AS privilege WHERE has_table_privilege($1, $2::text, privilege)
"""

COLUMNS_HELD = """
SELECT attname FROM pg_attribute
WHERE attrelid = $2::text::regclass AND attnum > 0 AND has_column_privilege($1, attrelid, attnum, 'UPDATE')
"""


@dataclass(frozen=True)
class Expectation:
    """What the table in code says about one role and one relation."""

    role: str
    schema: str
    relation: str

    @property
    def privileges(self) -> frozenset[str]:
        held = set(WRITER) if grants.WRITERS.get(self.schema) == self.role else set()
        if self.relation in grants.SHARED_INSERTS:
            held.add("INSERT")
        if self.relation == "outbox.entry" and self.role in grants.CONSUMERS:
            held.add("SELECT")
        if self.role in grants.READERS.get(self.relation, ()) or self.relation == "mainstem.state":
            held.add("SELECT")
        return frozenset(held)


@pytest.fixture
async def database(module_database: Database) -> Database:
    """The module's database; whoever changes its grants upgrades it again."""
    return module_database


@pytest.fixture
async def owner(connect: Connect) -> Connection:
    return await connect("owner")


async def list_expectations(owner: Connection) -> list[Expectation]:
    rows = await owner.fetch(RELATIONS)
    return [
        Expectation(role, row["schema"], f"{row['schema']}.{row['name']}")
        for row in rows
        for role in grants.ROLES
    ]


async def list_differences(owner: Connection) -> dict[str, tuple[set[str], set[str]]]:
    """Return (held, expected) where a role may do something else than the table in code says."""
    found = {}
    for one in await list_expectations(owner):
        rows = await owner.fetch(HELD, one.role, one.relation, PRIVILEGES)
        held = {row["privilege"] for row in rows}
        if held != one.privileges and one.relation != "mainstem.alembic_version":
            found[f"{one.role} on {one.relation}"] = (held, set(one.privileges))
    return found


async def test_every_role_may_do_to_every_table_what_the_table_in_code_says(owner: Connection) -> None:
    assert len(await list_expectations(owner)) > 80
    assert await list_differences(owner) == {}


async def test_nobody_may_touch_the_history_of_migrations(owner: Connection) -> None:
    for role in grants.ROLES:
        assert await owner.fetch(HELD, role, "mainstem.alembic_version", PRIVILEGES) == []


async def test_every_schema_has_exactly_one_writer_but_the_outbox() -> None:
    assert set(grants.WRITERS) == set(SCHEMAS) - {"outbox"}


async def test_a_consumer_may_change_of_an_entry_only_what_settling_takes(owner: Connection) -> None:
    for role in grants.ROLES:
        rows = await owner.fetch(COLUMNS_HELD, role, "outbox.entry")
        expected = set(grants.SETTLE) if role in grants.CONSUMERS else set()
        assert {row["attname"] for row in rows} == expected


async def test_groups_cannot_log_in_and_own_nothing(owner: Connection) -> None:
    rows = await owner.fetch(
        "SELECT rolname, rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls"
        " FROM pg_roles WHERE rolname = ANY($1)",
        grants.ROLES,
    )
    assert {row["rolname"]: any(tuple(row)[1:]) for row in rows} == dict.fromkeys(grants.ROLES, False)
    owned = "SELECT count(*) FROM pg_class WHERE relowner = ANY($1::text[]::regrole[])"
    assert await owner.fetchval(owned, grants.ROLES) == 0


async def test_no_service_may_make_tables_anywhere(connect: Connect) -> None:
    for service in SERVICES:
        connection = await connect(service)
        for schema in ("public", "mainstem", *SCHEMAS):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"CREATE TABLE {schema}.mine (id INTEGER)")


async def test_everyone_may_hint_and_announce_without_reading_either(connect: Connect) -> None:
    for service in SERVICES:
        connection = await connect(service)
        await connection.execute(
            "INSERT INTO inbox.event (due_at, provider, account, event_id, type, body, status, recorded_at)"
            " VALUES (now(), 'stripe', 'default', $1, 'hint', '', 'received', now())",
            f"op:{service}",
        )
        await connection.execute(
            "INSERT INTO outbox.entry (due_at, consumer, topic, key, recorded_at)"
            " VALUES (now(), 'sync', 'topic', 'key', now())"
        )
    for service in ("sync", "billing", "gateway"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await (await connect(service)).fetch("SELECT body FROM inbox.event")


async def test_a_reader_sees_the_view_and_not_the_table_below(connect: Connect) -> None:
    for service in ("sync", "billing"):
        connection = await connect(service)
        assert await connection.fetch("SELECT * FROM subscription.v1_product_subscription") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM subscription.product_subscription")


@pytest.mark.parametrize(
    "stray",
    [
        "GRANT DELETE ON contact.contact TO mainstem_ingest",
        "GRANT SELECT (body) ON inbox.event TO mainstem_gateway",
        "GRANT USAGE ON SCHEMA contact TO mainstem_ingest",
        "REVOKE INSERT ON inbox.event FROM mainstem_sync",
    ],
)
async def test_an_upgrade_mends_grants_that_somebody_changed(
    database: Database, owner: Connection, stray: str
) -> None:
    before = await list_grants(owner)
    await owner.execute(stray)
    assert await list_grants(owner) != before
    await upgrade(database.url)
    assert await list_grants(owner) == before


async def list_grants(owner: Connection) -> set[tuple[str, str]]:
    rows = await owner.fetch(
        """
        SELECT nspname::text AS name, unnest(nspacl)::text AS acl FROM pg_namespace
        UNION ALL SELECT oid::regclass::text, unnest(relacl)::text FROM pg_class
        UNION ALL SELECT attrelid::regclass || '.' || attname, unnest(attacl)::text FROM pg_attribute
        """
    )
    return {(row["name"], row["acl"]) for row in rows}
