"""A gateway over real HTTP, with an upstream that remembers what reaches it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from servers import Database, databases
from serving import serving
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs
from structlog.typing import EventDict
from tiny_gateway import Gateway, StartGateway, Upstream

from mainstem.common.database.pool import open_pool
from mainstem.common.http.calls.client import open_client
from mainstem.common.http.identity import Verifier
from mainstem.common.http.identity_keys import KeySet
from mainstem.gateway.app import build
from mainstem.gateway.settings import ROUTES_FILE, Settings
from mainstem.sandbox.servers.postgres import Postgres

ROUTES = """
[[routes]]
methods = ["GET"]
path = "/ctms/{email_id}"
upstream = "sync"
scope = "contacts:read"

[[routes]]
methods = ["POST"]
path = "/ctms"
upstream = "sync"
scope = "contacts:write"
body_limit_bytes = 1000

[[routes]]
methods = ["POST"]
path = "/webhooks/{provider}"
upstream = "sync"
public = true

[[routes]]
methods = ["POST"]
path = "/small"
upstream = "sync"
public = true
body_limit_bytes = 1000

[[routes]]
methods = ["GET", "POST"]
path = "/open/{what}"
upstream = "sync"
public = true
body_limit_bytes = 100_000_000

[[routes]]
methods = ["GET", "POST"]
path = "/hasty/{what}"
upstream = "sync"
public = true
timeout_seconds = 0.4

[[routes]]
methods = ["GET"]
path = "/nowhere"
upstream = "billing"
public = true

[[routes]]
methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
path = "/raw/{what}"
upstream = "billing"
public = true
timeout_seconds = 5

[[routes]]
methods = ["GET", "POST"]
path = "/brief/{what}"
upstream = "billing"
public = true
timeout_seconds = 1
"""


@pytest.fixture(scope="session")
async def shared_upstream() -> AsyncIterator[Upstream]:
    """One upstream for the session."""
    upstream = Upstream()
    async with serving(upstream) as url:
        upstream.url = url
        yield upstream


@pytest.fixture
def upstream(shared_upstream: Upstream) -> Upstream:
    """The upstream, as new."""
    shared_upstream.forget()
    return shared_upstream


@pytest.fixture(scope="session")
async def start_shared_gateway(
    postgres: Postgres, template: str, shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[StartGateway]:
    """Start gateways for the session: their tests differ by their clients, and they keep nothing else."""
    folder = tmp_path_factory.mktemp("gateway")
    async with AsyncExitStack() as stack:
        database = await (await stack.enter_async_context(databases(postgres, template)))()
        yield await stack.enter_async_context(gateways(database.urls["gateway"], shared_upstream, folder))


@pytest.fixture(scope="session")
async def shared_gateway(start_shared_gateway: StartGateway) -> Gateway:
    """One gateway for the session, with routes for tests."""
    return await start_shared_gateway()


@pytest.fixture(scope="session")
async def shared_shipped_gateway(start_shared_gateway: StartGateway, shared_upstream: Upstream) -> Gateway:
    """One with the routes that ship, all to the one upstream."""
    everywhere = dict.fromkeys(("upstream_ingest", "upstream_sync", "upstream_billing"), shared_upstream.url)
    return await start_shared_gateway(routes_file=ROUTES_FILE, **everywhere)


@pytest.fixture
def shipped_gateway(shared_shipped_gateway: Gateway, upstream: Upstream) -> Gateway:
    """The gateway with the routes that ship, before an upstream that is as new."""
    return shared_shipped_gateway


@pytest.fixture
def gateway(shared_gateway: Gateway, upstream: Upstream) -> Gateway:
    """The gateway before an upstream that is as new."""
    return shared_gateway


@pytest.fixture
def logged(gateway: Gateway) -> Iterator[list[EventDict]]:
    """The log's events, from here on; the gateway's start has set it up."""
    with capture_logs(processors=[merge_contextvars]) as events:
        yield events


@pytest.fixture
async def start_gateway(
    database: Database, upstream: Upstream, tmp_path: Path
) -> AsyncIterator[StartGateway]:
    """Start gateways on this test's own database; settings may be given."""
    async with gateways(database.urls["gateway"], upstream, tmp_path) as start:
        yield start


@asynccontextmanager
async def gateways(database_url: str, upstream: Upstream, folder: Path) -> AsyncIterator[StartGateway]:
    (routes_file := folder / "routes.toml").write_text(ROUTES)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database_url, name="test"))

        async def start(**given: Any) -> Gateway:
            values: dict[str, Any] = {
                "database_url": database_url,
                "upstream_sync": upstream.url,
                "upstream_billing": "http://127.0.0.1:9",
                "routes_file": routes_file,
            }
            url = await stack.enter_async_context(serving(build(Settings(**values | given))))
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=20))
            keys_client = await stack.enter_async_context(open_client("gateway"))
            key_set = KeySet(keys_client, f"{url}/.well-known/jwks.json")
            return Gateway(url, http, pool, key_set, Verifier(key_set, audience="sync"))

        yield start
