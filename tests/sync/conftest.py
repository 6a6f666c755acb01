from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import httpx
import pytest
from acoustic_calls import ACCOUNT
from servers import Database as OwnDatabase
from serving import serving
from starlette.applications import Starlette
from starlette.routing import Mount
from sync_world import Environment, Gateway, MakeWorker, People, Worker

from mainstem.common.database.sessions import Database, open_database
from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.stand_ins.faults import FaultMiddleware, Faults
from mainstem.sandbox.world.clock import MovableClock
from mainstem.sync import app as serving_process
from mainstem.sync import worker as working_process
from mainstem.sync.settings import Settings


@pytest.fixture
def clock_file(folder: Path) -> Path:
    return folder / "clock"


@pytest.fixture
def clock(clock_file: Path) -> MovableClock:
    return MovableClock.create(clock_file)


@pytest.fixture
def acoustic(clock: MovableClock) -> AcousticStandIn:
    return AcousticStandIn(clock, ACCOUNT)


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def acoustic_base(acoustic: AcousticStandIn, faults: Faults) -> AsyncIterator[str]:
    routes = Starlette(routes=[Mount("/acoustic", routes=acoustic.routes)])
    async with serving(acoustic.limited(FaultMiddleware(routes, faults))) as base:
        yield f"{base}/acoustic"


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
async def jwks_url(gateway: Gateway) -> AsyncIterator[str]:
    async with serving(gateway.app) as base:
        yield f"{base}/.well-known/jwks.json"


@pytest.fixture
def environment(database: OwnDatabase, acoustic_base: str, clock_file: Path, jwks_url: str) -> Environment:
    return {
        "MAINSTEM_PROFILE": "sandbox",
        "DATABASE_URL": database.urls["sync"],
        "MAINSTEM_CLOCK_FILE": str(clock_file),
        "MAINSTEM_IDENTITY_JWKS_URL": jwks_url,
        "MAINSTEM_ACOUSTIC_API_BASE": acoustic_base,
        "CTMS_ACOUSTIC_CLIENT_ID": ACCOUNT.client_id,
        "CTMS_ACOUSTIC_CLIENT_SECRET": ACCOUNT.client_secret,
        "CTMS_ACOUSTIC_REFRESH_TOKEN": ACCOUNT.refresh_token,
        "CTMS_ACOUSTIC_MAIN_TABLE_ID": ACCOUNT.main_table_id,
        "CTMS_ACOUSTIC_PRODUCT_SUBSCRIPTIONS_ID": ACCOUNT.product_table_id,
        "CTMS_ACOUSTIC_SYNC_FEATURE_FLAG": "1",
        "CTMS_ACOUSTIC_INTEGRATION_FEATURE_FLAG": "1",
        "OTEL_TRACES_SAMPLER_ARG": "1.0",
    }


@pytest.fixture
async def api(
    environment: Environment, gateway: Gateway, clock: MovableClock
) -> AsyncIterator[httpx.AsyncClient]:
    """The contact API over real HTTP, as the gateway's principal."""
    headers = {"Authorization": f"Bearer {gateway.identity()}"}
    async with (
        serving(serving_process.build(Settings(**environment))) as base,
        httpx.AsyncClient(base_url=base, headers=headers) as client,
    ):
        yield client


@pytest.fixture
async def owner(database: OwnDatabase) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection that may see and change everything, for arranging and asserting."""
    connection = await asyncpg.connect(database.url)
    yield connection
    await connection.close()


@pytest.fixture
async def sync_database(database: OwnDatabase) -> AsyncIterator[Database]:
    """The database as the login `mainstem_sync` may use it."""
    async with open_database(database.urls["sync"], name="test") as opened:
        yield opened


@pytest.fixture
async def make_worker(
    environment: Environment, sync_database: Database, clock: MovableClock
) -> AsyncIterator[MakeWorker]:
    """Make workers; settings are given under the names that the environment has."""
    async with AsyncExitStack() as stack:

        async def make(owner: str = "worker", **settings: str) -> Worker:
            told = Settings(**{**environment, **settings})
            opened = working_process.open_acoustic(told, sync_database, clock, owner, lambda: None)
            return Worker(await stack.enter_async_context(opened))

        yield make


@pytest.fixture
async def worker(make_worker: MakeWorker) -> Worker:
    return await make_worker()


@pytest.fixture
def people(api: httpx.AsyncClient, owner: "asyncpg.Connection[asyncpg.Record]") -> People:
    return People(api, owner)
