import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
from servers import Database
from sqlmodel import select

from mainstem.common.database.pool import Transactions, open_pool
from mainstem.common.database.sessions import open_database, plain
from mainstem.common.models.contact import Contact
from mainstem.sandbox.servers.ports import Ports

NOW = datetime(2031, 1, 1, tzinfo=UTC)
INSERT = "INSERT INTO contact.contact (contact_id, created_at, updated_at) VALUES ($1, $2, $2)"
COUNT = "SELECT count(*) FROM contact.contact"


class OnPurposeError(Exception):
    """Ends a transaction."""


@pytest.fixture
async def database(module_database: Database) -> Database:
    """The module's database, emptied."""
    connection = await asyncpg.connect(module_database.url)
    await connection.execute("TRUNCATE contact.contact")
    await connection.close()
    return module_database


async def count(database: Database) -> int:
    connection = await asyncpg.connect(database.url)
    try:
        return int(await connection.fetchval(COUNT))
    finally:
        await connection.close()


async def insert_twice(transactions: Transactions) -> None:
    """Insert one contact in a transaction that ends well, and one in a transaction that does not."""
    async with transactions.transaction() as connection:
        await connection.execute(INSERT, UUID(int=1), NOW)
    with suppress(OnPurposeError):
        async with transactions.transaction() as connection:
            await connection.execute(INSERT, UUID(int=2), NOW)
            raise OnPurposeError


async def test_a_pools_transaction_commits_at_its_end_and_rolls_back_on_an_error(
    database: Database,
) -> None:
    async with open_pool(database.urls["sync"], name="test") as pool:
        await insert_twice(pool)
    assert await count(database) == 1


async def test_a_databases_plain_transaction_does_so_too(database: Database) -> None:
    async with open_database(database.urls["sync"], name="test") as opened:
        await insert_twice(opened)
    assert await count(database) == 1


async def test_a_session_commits_at_its_end_and_rolls_back_on_an_error(database: Database) -> None:
    async with open_database(database.urls["sync"], name="test") as opened:
        async with opened.session() as session:
            session.add(Contact(contact_id=UUID(int=1), created_at=NOW, updated_at=NOW))
        with suppress(OnPurposeError):
            async with opened.session() as session:
                session.add(Contact(contact_id=UUID(int=2), created_at=NOW, updated_at=NOW))
                await session.flush()
                raise OnPurposeError
        async with opened.session() as session:
            (contact,) = (await session.exec(select(Contact))).all()
    assert (contact.contact_id, contact.created_at) == (UUID(int=1), NOW)


async def test_plain_sql_runs_in_the_sessions_transaction_even_as_its_first_statement(
    database: Database,
) -> None:
    async with open_database(database.urls["sync"], name="test") as opened:
        with suppress(OnPurposeError):
            async with opened.session() as session:
                connection = await plain(session)
                await connection.execute(INSERT, UUID(int=1), NOW)
                session.add(Contact(contact_id=UUID(int=2), created_at=NOW, updated_at=NOW))
                await session.flush()
                assert await connection.fetchval(COUNT) == 2
                raise OnPurposeError
    assert await count(database) == 0


async def test_a_time_without_a_zone_never_reaches_the_database(database: Database) -> None:
    naive = datetime(2031, 1, 1)  # noqa: DTZ001 -- the mistake is what the test makes
    async with open_database(database.urls["sync"], name="test") as opened:
        with pytest.raises(Exception, match="naive"):
            async with opened.session() as session:
                session.add(Contact(contact_id=UUID(int=1), created_at=naive, updated_at=naive))
    assert await count(database) == 0


async def test_a_process_starts_while_the_database_is_away(ports: Ports) -> None:
    url = f"postgresql://login:password@127.0.0.1:{ports.take()}/none"
    async with open_pool(url, name="test") as pool, open_database(url, name="test") as opened:
        for transactions in (pool, opened):
            with pytest.raises(OSError, match="Connect call failed"):
                async with transactions.transaction():
                    pass


@pytest.mark.parametrize("open_any", [open_pool, open_database])
async def test_a_connection_that_was_lost_is_not_handed_out_again(database: Database, open_any: Any) -> None:
    async with open_any(database.urls["sync"], name="test", size=1) as transactions:
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            async with transactions.transaction() as connection:
                await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        async with transactions.transaction() as connection:
            assert await connection.fetchval(COUNT) == 0


@pytest.mark.parametrize("open_any", [open_pool, open_database])
async def test_a_refused_connection_raises_the_drivers_own_error(database: Database, open_any: Any) -> None:
    url = urlsplit(database.urls["sync"])
    stranger = url._replace(netloc=f"nobody:wrong@{url.hostname}:{url.port}").geturl()
    async with open_any(stranger, name="test") as transactions:
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            async with transactions.transaction():
                pass


async def test_postgres_shows_which_process_a_connection_belongs_to(database: Database) -> None:
    async with (
        open_pool(database.urls["sync"], name="sync-worker") as pool,
        pool.transaction() as connection,
    ):
        assert await connection.fetchval("SHOW application_name") == "sync-worker"


def test_a_process_without_an_orm_imports_none() -> None:
    program = (
        "import sys, mainstem.common.database.pool, mainstem.common.queue.inbox\n"
        "import mainstem.common.queue.lease\n"
        "print([name for name in ('sqlalchemy', 'sqlmodel') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize("open_any", [open_pool, open_database])
@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
async def test_either_pool_takes_a_url_with_parameters_of_libpq(
    database: Database, open_any: Any, scheme: str
) -> None:
    url = urlsplit(database.urls["sync"])._replace(scheme=scheme, query="sslmode=disable").geturl()
    async with open_any(url, name="test") as opened, opened.transaction() as connection:
        assert await connection.fetchval(COUNT) == 0
