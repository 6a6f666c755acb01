import asyncpg
import pytest
from servers import Database, MakeDatabase

from mainstem.sandbox.servers.postgres import Postgres
from mainstem.sandbox.servers.roles import SERVICES, ensure_logins, ensure_sandbox_login


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_logs_in_as_a_member_of_its_own_group_alone(database: Database, service: str) -> None:
    groups = (
        "select array_agg(roleid::regrole::text) from pg_auth_members where member = current_user::regrole"
    )
    assert await ask(database.urls[service], groups) == [f"mainstem_{service}"]


async def test_the_sandbox_reads_everything_and_empties_the_pipeline(database: Database) -> None:
    url = database.urls["sandbox"]
    assert await ask(url, "select count(*) from inbox.event") == 0
    assert await ask(url, "select count(*) from gateway.api_client") == 0
    await ask(url, "truncate inbox.event, outbox.entry, contact.contact cascade")


@pytest.mark.parametrize("table", ["gateway.api_client", "mainstem.state"])
async def test_the_sandbox_empties_no_table_that_the_stack_needs(database: Database, table: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(database.urls["sandbox"], f"truncate {table} cascade")


async def test_the_sandbox_writes_nothing(database: Database) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(database.urls["sandbox"], "delete from inbox.event")


async def test_making_the_logins_again_changes_their_passwords(
    postgres: Postgres, database: Database
) -> None:
    superuser = postgres.superuser_url(database.name)
    for password in ("it's new", "test"):
        await ensure_logins(superuser, {"billing": password})
        await ensure_sandbox_login(superuser, password)
    assert await ask(database.urls["billing"], "select 1") == 1
    assert await ask(database.urls["sandbox"], "select 1") == 1


async def test_every_database_of_a_test_is_its_own(make_database: MakeDatabase) -> None:
    one, other = await make_database(), await make_database()
    await ask(one.url, "create table public.mine ()")
    assert await ask(other.url, "select to_regclass('public.mine')") is None
