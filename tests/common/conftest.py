from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from connections import Connect
from servers import Database, databases

from mainstem.common.database.pool import Connection
from mainstem.sandbox.servers.ports import Ports
from mainstem.sandbox.servers.postgres import Postgres
from mainstem.sandbox.servers.valkey import Valkey


@pytest.fixture(scope="module")
async def module_database(postgres: Postgres, template: str) -> AsyncIterator[Database]:
    """A database that the tests of a module share, since making one costs more than most of them."""
    async with databases(postgres, template) as make:
        yield await make()


@pytest.fixture
async def connect(database: Database) -> AsyncIterator[Connect]:
    """Connects to the test's own database as one service's login, or as `owner`."""
    opened: list[Connection] = []

    async def connect_as(login: str) -> Connection:
        connection = await asyncpg.connect(database.url if login == "owner" else database.urls[login])
        opened.append(connection)
        return connection

    yield connect_as
    for connection in opened:
        await connection.close()


@pytest.fixture
async def own_valkey(folder: Path, ports: Ports) -> AsyncIterator[Valkey]:
    """A Valkey of this test's own, to crash and to flush."""
    server = Valkey(folder / "valkey", port=ports.take())
    await server.start()
    yield server
    await server.stop()
