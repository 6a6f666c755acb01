import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from servers import Database
from serving import serving

from mainstem.billing.app import build
from mainstem.billing.settings import Settings
from mainstem.common.migrations.version import SchemaVersionError
from mainstem.sandbox.servers.ports import Ports


def settings_for(url: str) -> Settings:
    nowhere = "http://127.0.0.1:9/.well-known/jwks.json"
    values: dict[str, Any] = {"database_url": url, "identity_jwks_url": nowhere}
    return Settings(**values)


@pytest.fixture
async def client(shared_database: Database) -> AsyncIterator[httpx.AsyncClient]:
    app = build(settings_for(shared_database.urls["billing"]))
    async with serving(app) as address, httpx.AsyncClient(base_url=address) as client:
        yield client


async def test_it_is_ready_once_its_database_answers(client: httpx.AsyncClient) -> None:
    answer = await client.get("/__heartbeat__")
    assert answer.status_code == 200
    assert answer.json()["database"]["up"] is True


async def test_nobody_gets_in_without_an_identity(client: httpx.AsyncClient) -> None:
    answer = await client.get("/billing/subscriptions")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_database_without_our_schema_is_refused_at_start(postgres: Any, ports: Ports) -> None:
    app = build(settings_for(postgres.url("template1")))
    with pytest.raises(SchemaVersionError, match="mainstem database upgrade"):
        async with asyncio.timeout(10), app.router.lifespan_context(app):
            pass
