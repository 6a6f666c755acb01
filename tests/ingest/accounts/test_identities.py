"""The worker checks which account each key opens, in the background, and stops accounts alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import stripe_events as events
from bare_objects import push
from false_answers import OTHERS, answer
from fetch_world import FetchWorld, open_fetch_world
from ingest_bench import Ingest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from servers import Database
from serving import serving
from stripe_shop import API_KEY

from mainstem.common.clock import SystemClock
from mainstem.ingest.accounts.identities import Identities
from mainstem.ingest.accounts.storage import ProviderAccount, accept, agree
from mainstem.ingest.settings import Settings
from mainstem.ingest.worker import build
from mainstem.sandbox.stand_ins.faults import Fault, Kind
from mainstem.sandbox.stripe.state.account import ACCOUNT_ID

# The SDK hands httpx its form in a way that httpx deprecates; only the shop posts any.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

DONE = "SELECT FROM inbox.event WHERE status = 'done' AND account = '{}'"
KNOWN = "SELECT FROM inbox.account WHERE account = '{}' AND provider_id = '{}'"
ASKED = "^/v1/account$"


@pytest.fixture
async def stripe(tmp_path: Path) -> AsyncIterator[FetchWorld]:
    async with open_fetch_world(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def worker(database: Database, stripe: FetchWorld, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Run a worker of two accounts, whose keys open the stand-in's one account."""
    file = folder / "accounts.toml"
    file.write_text(f'[accounts.eu]\nwebhook_secrets = ["whsec_1"]\napi_key = "{API_KEY}"\n')
    settings = Settings(
        database_url=SecretStr(database.urls["ingest"]),
        stripe_api_key=SecretStr(API_KEY),
        stripe_api_base=f"{stripe.world.url}/stripe",
        stripe_accounts_file=file,
    )
    async with serving(build(settings)) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


async def until(ingest: Ingest, query: str) -> None:
    """Return once the query has a row."""
    async with asyncio.timeout(30):
        while not await ingest.rows(query):  # noqa: ASYNC110 -- Postgres is what is waited for
            await asyncio.sleep(0.05)


async def known(ingest: Ingest, account: str, provider_id: str) -> None:
    """Have an account's id be recorded."""
    async with ingest.pool.transaction() as connection:
        await agree(connection, "stripe", [ProviderAccount(account, (), API_KEY)])
        await accept(connection, "stripe", account, provider_id)


async def hinted(ingest: Ingest, stripe: FetchWorld, *accounts: str) -> None:
    """Have events of a new customer come in for each account."""
    ingest.clock.time = SystemClock().now()
    customer = await stripe.shop.customer(card=None)
    hint = {"id": customer.id, "object": "customer"}
    for account in accounts:
        await ingest.record(events.event("customer.updated", hint), account=account)


def value(name: str, **labels: str) -> float:
    """Return this process' metric, summed over the labels that are not named."""
    families = text_string_to_metric_families(generate_latest().decode())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(one.value for one in samples if labels.items() <= one.labels.items())


def burials(*names: tuple[str, str]) -> list[float]:
    return [value("mainstem_tombstones_total", cause=cause, kind=kind) for cause, kind in names]


async def test_start_records_which_account_each_key_opens(
    database: Database, ingest: Ingest, stripe: FetchWorld, tmp_path: Path
) -> None:
    async with worker(database, stripe, tmp_path):
        for account in ("default", "eu"):
            await until(ingest, KNOWN.format(account, ACCOUNT_ID))


async def test_key_of_another_account_stops_that_account_alone_and_not_the_process(
    database: Database, ingest: Ingest, stripe: FetchWorld, tmp_path: Path
) -> None:
    await known(ingest, "default", OTHERS)
    async with worker(database, stripe, tmp_path) as client:
        await until(ingest, "SELECT FROM inbox.account WHERE account = 'default' AND problem IS NOT NULL")
        await hinted(ingest, stripe, "default", "eu")
        await until(ingest, DONE.format("eu"))
        assert (await client.get("/__heartbeat__")).status_code == 200
        assert value("mainstem_accounts_stopped") == 1
        assert await ingest.rows("SELECT claims FROM inbox.event WHERE account = 'default'") == [
            {"claims": 0}
        ]
        await known(ingest, "default", ACCOUNT_ID)
        await until(ingest, DONE.format("default"))
    (row,) = await ingest.rows("SELECT problem FROM inbox.account WHERE account = 'default'")
    assert row == {"problem": None}


async def test_stopped_account_is_claimed_by_no_worker_until_it_is_accepted(
    ingest: Ingest, stripe: FetchWorld
) -> None:
    await known(ingest, "default", OTHERS)
    await hinted(ingest, stripe, "default")
    await ingest.rows("UPDATE inbox.account SET problem = 'another key' RETURNING 1")
    stopped, going = stripe.source(ingest.pool), stripe.source(ingest.pool)
    await stopped.identities.work()
    assert await ingest.pipeline(stopped).work() == 0
    await known(ingest, "default", ACCOUNT_ID)
    await going.identities.work()
    assert await ingest.pipeline(going).work() == 1
    await stopped.identities.close()
    await going.identities.close()
    assert await ingest.rows(DONE.format("default"))
    assert await ingest.rows("SELECT provider_id, problem FROM inbox.account") == [
        {"provider_id": ACCOUNT_ID, "problem": None}
    ]


async def test_account_that_does_not_answer_delays_no_claim(
    database: Database, ingest: Ingest, stripe: FetchWorld, tmp_path: Path
) -> None:
    stripe.world.faults.add(Fault("stripe", Kind.DELAY, path=ASKED, delay_seconds=600, remaining=None))
    async with worker(database, stripe, tmp_path):
        await hinted(ingest, stripe, "default", "eu")
        await until(ingest, DONE.format("default"))
        await until(ingest, DONE.format("eu"))
    assert await ingest.rows("SELECT FROM inbox.account WHERE provider_id IS NOT NULL") == []


async def test_check_that_hangs_returns_at_once(ingest: Ingest, stripe: FetchWorld) -> None:
    stripe.world.faults.add(Fault("stripe", Kind.DELAY, path=ASKED, delay_seconds=600, remaining=None))
    identities = stripe.source(ingest.pool).identities
    async with asyncio.timeout(5):
        assert await identities.work() == 0
    await identities.close()


async def test_check_that_failed_is_made_again(ingest: Ingest, stripe: FetchWorld) -> None:
    async with ingest.pool.transaction() as connection:
        await agree(connection, "stripe", [ProviderAccount("default", (), API_KEY)])
    stripe.world.faults.add(answer(ASKED, 503, "", remaining=1))
    identities = Identities("stripe", stripe.readers, ingest.pool, retry_seconds=0.1)
    async with asyncio.timeout(30):
        while not await ingest.rows(KNOWN.format("default", ACCOUNT_ID)):
            await identities.work()
            await asyncio.sleep(0.05)
    assert stripe.world.faults.rules() == []


async def test_each_burial_is_counted_once_by_kind_and_cause(
    database: Database, ingest: Ingest, stripe: FetchWorld, tmp_path: Path
) -> None:
    ingest.clock.time = SystemClock().now()
    customer = await stripe.shop.customer(card=None)
    await stripe.shop.sdk.v1.customers.delete_async(customer.id)
    hint = {"id": customer.id, "object": "customer"}
    names = [("deleted", "customer"), ("missing", "price")]
    before = burials(*names)
    async with worker(database, stripe, tmp_path):
        await ingest.record(
            events.event("customer.deleted", hint),
            events.event("price.deleted", {"id": "price_never_seen", "object": "price"}),
        )
        await until(ingest, "SELECT FROM inbox.event WHERE status = 'done' HAVING count(*) = 2")
        await ingest.record(events.event("customer.updated", hint))
        await until(ingest, "SELECT FROM inbox.event WHERE status = 'done' HAVING count(*) = 3")
    assert burials(*names) == [count + 1 for count in before]


async def test_burial_in_payload_mode_is_counted_by_what_said_so(database: Database, ingest: Ingest) -> None:
    ingest.clock.time = SystemClock().now()
    names = [("event", "customer"), ("bare", "customer")]
    before = burials(*names)
    async with serving(build(Settings(database_url=SecretStr(database.urls["ingest"])))):
        await ingest.record(events.event("customer.deleted", events.customer()))
        await push(ingest, {"id": "cus_2", "object": "customer", "deleted": True})
        await until(ingest, "SELECT FROM inbox.event WHERE status = 'done' HAVING count(*) = 2")
        await push(ingest, {"id": "cus_1", "object": "customer", "deleted": True})
        await until(ingest, "SELECT FROM inbox.event WHERE status = 'done' HAVING count(*) = 3")
    assert burials(*names) == [count + 1 for count in before]
