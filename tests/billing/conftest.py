"""Billing's fixtures."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from billing_world import LOOKUP_KEY, PUBLIC, TABLES, BillingWorld, open_billing_world, register, url_of
from clicking import Browser
from in_process import in_process
from ingest_bench import empty, open_ingest
from operating import SIGNALS, cancel
from servers import Database, databases
from serving import serving
from stripe_shop import API_KEY
from sync_world import Gateway

from mainstem.billing.app import build
from mainstem.billing.assembly import StripeServices
from mainstem.billing.settings import Settings
from mainstem.sandbox.servers.postgres import Postgres


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the SDK hand httpx its form as it does: httpx deprecates that, and the SDK has not followed."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"))


@pytest.fixture(scope="session")
async def shared_database(postgres: Postgres, template: str) -> AsyncIterator[Database]:
    """One database for all tests here, since making one costs more than most of them."""
    async with databases(postgres, template) as make:
        yield await make()


@pytest.fixture
async def world(shared_database: Database, tmp_path: Path) -> AsyncIterator[BillingWorld]:
    """Billing without a process yet, on an empty database, and a Stripe that sells nothing."""
    async with open_ingest(shared_database) as ingest:
        await empty(ingest)
        async with ingest.owner.transaction() as connection:
            await connection.execute(f"TRUNCATE {', '.join(TABLES)}")
        async with open_billing_world(shared_database, ingest, tmp_path) as world:
            yield world


@pytest.fixture
async def client(world: BillingWorld) -> httpx.AsyncClient:
    """One process of billing, called as the gateway calls it, and a price to buy at."""
    await world.price()
    return await world.serve()


@dataclass(frozen=True)
class SharedProcess:
    """One process of billing for many tests, called without the wire."""

    client: httpx.AsyncClient
    gateway: Gateway
    owner: asyncpg.Connection


@pytest.fixture(scope="session")
async def shared_process(shared_database: Database) -> AsyncIterator[SharedProcess]:
    """Billing with a price and without Stripe, for rules that are decided before Stripe is called."""
    gateway = Gateway()
    async with serving(gateway.app) as keys:
        values: dict[str, Any] = {
            "profile": "sandbox",
            "database_url": shared_database.urls["billing"],
            "identity_jwks_url": f"{keys}/.well-known/jwks.json",
            "stripe_api_key": API_KEY,
            "stripe_api_base": "http://127.0.0.1:9",
            "stripe_price_id": LOOKUP_KEY,
            "public_url": PUBLIC,
        }
        owner = await asyncpg.connect(shared_database.url)
        async with in_process(build(Settings(**values))) as client:
            yield SharedProcess(client, gateway, owner)
        await owner.close()


@pytest.fixture
async def direct(shared_process: SharedProcess) -> httpx.AsyncClient:
    """A client of the shared process, which has no account yet."""
    await shared_process.owner.execute("; ".join(f"DELETE FROM {table}" for table in reversed(TABLES)))
    identity = shared_process.gateway.identity("billing")
    shared_process.client.headers["Authorization"] = f"Bearer {identity}"
    return shared_process.client


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as browser:
        yield browser


@pytest.fixture
async def services(world: BillingWorld) -> StripeServices:
    return await world.open_services()


@pytest.fixture
async def customer(world: BillingWorld, client: httpx.AsyncClient, browser: Browser) -> str:
    """The customer of a buyer who has paid for a month."""
    await register(client)
    await browser.open(await url_of(client))
    await browser.click("pay")
    (held,) = world.held("customer")
    found: str = held["id"]
    return found


@pytest.fixture(params=SIGNALS)
async def leaving(world: BillingWorld, request: pytest.FixtureRequest) -> str:
    """A subscription that ends with its period."""
    subscription = await world.shop.subscription()
    await cancel(world, subscription.id, request.param)
    return subscription.id
