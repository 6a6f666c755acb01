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


@pytest.fixture(scope="session")
async def shared_ingest(shared_database: Database) -> AsyncIterator[Ingest]:
    """Pools of connections for all tests here: four connections a test cost more than most of them."""
    async with open_ingest(shared_database) as ingest:
        yield ingest


@pytest.fixture
async def database(shared_database: Database, shared_ingest: Ingest) -> Database:
    """The tests' database, empty."""
    await empty(shared_ingest)
    return shared_database


@pytest.fixture
def ingest(database: Database, shared_ingest: Ingest) -> Ingest:
    """Ingest without its door, on an empty database, under the login that it has in production."""
    return Ingest(shared_ingest.pool, shared_ingest.owner)
