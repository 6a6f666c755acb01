"""What the properties run on: ingest on a database that the tests of a module share."""

from collections.abc import AsyncIterator

import pytest
from ingest_bench import Ingest, open_ingest
from servers import Database, databases

from mainstem.sandbox.servers.postgres import Postgres


@pytest.fixture(scope="module")
async def module_database(postgres: Postgres, template: str) -> AsyncIterator[Database]:
    """A database that each example finds empty, since making one costs more than most examples."""
    async with databases(postgres, template) as make:
        yield await make()


@pytest.fixture(scope="module")
async def ingest(module_database: Database) -> AsyncIterator[Ingest]:
    """Ingest without its door, under the login that it has in production."""
    async with open_ingest(module_database) as ingest:
        yield ingest
