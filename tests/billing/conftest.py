"""Billing's fixtures."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from billing_world import TABLES, BillingWorld, open_billing_world, register, url_of
from clicking import Browser
from ingest_bench import empty, open_ingest
from operating import SIGNALS, cancel
from servers import Database, databases

from mainstem.billing.assembly import StripeServices
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
