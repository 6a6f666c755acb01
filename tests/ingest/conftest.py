"""Ingest's fixtures."""

from collections.abc import AsyncIterator

import pytest
from ingest_bench import Ingest, empty, open_ingest
from servers import Database, databases

from mainstem.sandbox.servers.postgres import Postgres


@pytest.fixture(scope="session")
async def shared_database(postgres: Postgres, template: str) -> AsyncIterator[Database]:
    """One database for all tests here, since making one costs more than most of them."""
    async with databases(postgres, template) as make:
        yield await make()


@pytest.fixture
async def database(shared_database: Database) -> Database:
    """The tests' database, empty."""
    async with open_ingest(shared_database) as ingest:
        await empty(ingest)
    return shared_database


@pytest.fixture
async def ingest(database: Database) -> AsyncIterator[Ingest]:
    """Ingest without its door, on an empty database, under the login that it has in production."""
    async with open_ingest(database) as ingest:
        yield ingest
