"""Ingest's fixtures."""

from collections.abc import AsyncIterator

import pytest
from ingest_bench import Ingest, open_ingest
from servers import Database


@pytest.fixture
async def ingest(database: Database) -> AsyncIterator[Ingest]:
    """Ingest without its door, on a database of its own, under the login that it has in production."""
    async with open_ingest(database) as ingest:
        yield ingest
