"""Owner of an event: the account that the event names gets it, and no other account's rows change."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe
import stripe_events as events
from ingest_bench import Ingest
from pydantic import SecretStr
from servers import Database
from serving import serving
from stripe_events import DAY, START
from tenants import about, accounts_of_events, known, work_off

from mainstem.ingest.app import build
from mainstem.ingest.settings import Settings

SECRET, OTHERS = "whsec_first", "whsec_others"
FILE = f"""
[accounts.other]
webhook_secrets = ["{OTHERS}"]
provider_id = "acct_other"

[accounts.acct_named]
webhook_secrets = ["whsec_named"]
"""


@asynccontextmanager
async def open_door(database: Database, folder: Path, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    file = folder / "accounts.toml"
    file.write_text(FILE)
    settings = Settings(
        database_url=SecretStr(database.urls["ingest"]),
        identity_jwks_url="http://127.0.0.1:9/jwks.json",
        stripe_webhook_secrets=SecretStr(SECRET),
        stripe_account_id="acct_platform",
        stripe_accounts_file=file,
        **more,
    )
    async with serving(build(settings)) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


@pytest.fixture
async def door(database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with open_door(database, tmp_path) as client:
        yield client


@pytest.fixture(scope="module")
async def shared_door(
    shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """One door for events that are refused before their accounts are read."""
    async with open_door(shared_database, tmp_path_factory.mktemp("door")) as client:
        yield client


async def deliver(door: httpx.AsyncClient, body: bytes, *, to: str = "") -> httpx.Response:
    secret = OTHERS if to == "/other" else SECRET
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(time.time()))
    return await door.post(f"/webhooks/stripe{to}", content=body, headers={"Stripe-Signature": header})


async def test_events_of_connected_account_leave_the_platforms_rows_alone(
    door: httpx.AsyncClient, ingest: Ingest
) -> None:
    for body in (
        events.event("customer.created", events.customer("cus_own")),
        events.event("customer.subscription.created", events.subscription(of="cus_own")),
        events.event("product.created", events.product("prod_gold", name="Platform Gold")),
    ):
        await deliver(door, body)
    await work_off(ingest)
    products, mirror = await ingest.products(), await ingest.mirror()
    foreign = events.customer("cus_foreign", created=START + DAY)
    taken = events.product("prod_gold", name="Other", active=False)
    for body in (
        events.event("customer.created", foreign, at=START + DAY, account="acct_c05"),
        events.event("product.updated", taken, at=START + DAY, account="acct_c05"),
    ):
        assert (await deliver(door, body)).status_code == 202
    await work_off(ingest)
    assert set((await ingest.statuses()).values()) == {"done"}
    assert await ingest.products() == products
    after = await ingest.mirror()
    for kind, rows in after.items():
        assert [row for row in rows if row["account"] == "default"] == mirror[kind]
    assert [(row["account"], row["name"]) for row in after["product"]] == [
        ("acct_c05", "Other"),
        ("default", "Platform Gold"),
    ]
    assert {row["account"] for row in await ingest.rows("SELECT account FROM subscription.owner")} == {
        "default"
    }


OWNERS = {
    "account": ({"account": "acct_1"}, "acct_1"),
    "context": ({"context": "acct_1"}, "acct_1"),
    "path": ({"context": "acct_platform/acct_1"}, "acct_1"),
    "path of an organization": ({"context": "org_1/acct_2/acct_1", "account": "acct_1"}, "acct_1"),
    "context first": ({"context": "acct_1", "account": "acct_2"}, "acct_1"),
    "context without an account": ({"context": "org_1", "account": "acct_1"}, "acct_1"),
    "before 2017-05-25": ({"user_id": "acct_1"}, "acct_1"),
    "none": ({"context": None, "account": None}, "default"),
    "its own": ({"account": "acct_platform"}, "default"),
    "its own by a path": ({"context": "org_1/acct_platform"}, "default"),
    "another configured one": ({"account": "acct_other"}, "other"),
    "one configured by that name": ({"account": "acct_named"}, "acct_named"),
}


@pytest.mark.parametrize(("named", "expected"), OWNERS.values(), ids=OWNERS)
async def test_event_is_stored_under_the_account_it_names(
    door: httpx.AsyncClient, ingest: Ingest, named: dict[str, Any], expected: str
) -> None:
    assert (await deliver(door, about(**named))).status_code == 202
    assert await accounts_of_events(ingest) == {"evt_cus_1": expected}


ODD: list[Any] = ["", "default", "other", "acct_", "acct_1 ", "acct_\0", "acct_é", 7, [], {}, True]
REFUSED = [
    (name, value) for name in ("account", "context", "user_id") for value in (*ODD, "acct_" + "x" * 251)
]
REFUSED += [("account", "acct_1/x"), ("account", "acct_platform/acct_1"), ("context", "acct-1/x")]


@pytest.mark.parametrize("shape", [{}, {"livemode": "odd"}], ids=["an event's shape", "another shape"])
@pytest.mark.parametrize(("name", "value"), REFUSED, ids=repr)
async def test_value_that_is_no_account_is_refused_by_name_and_not_stored(
    shared_door: httpx.AsyncClient, ingest: Ingest, name: str, value: Any, shape: dict[str, Any]
) -> None:
    answer = await deliver(shared_door, about(**{name: value}, **shape))
    assert answer.status_code == 400
    assert name.replace("_", " ") in answer.json()["detail"].replace("_", " ")
    assert await accounts_of_events(ingest) == {}
    # The configured accounts were forgotten when the database was emptied.
    assert await ingest.rows("SELECT account FROM inbox.account") == []


async def test_event_at_another_accounts_endpoint_is_its_owners_and_stored_once(
    door: httpx.AsyncClient, ingest: Ingest
) -> None:
    for endpoint in ("/other", "", "/other"):
        assert (await deliver(door, about(account="acct_platform"), to=endpoint)).status_code == 202
    assert await accounts_of_events(ingest) == {"evt_cus_1": "default"}


async def test_connected_account_of_two_endpoints_is_one_with_the_first_as_parent(
    door: httpx.AsyncClient, ingest: Ingest
) -> None:
    for endpoint in ("/other", "", "/other"):
        assert (await deliver(door, about(account="acct_1"), to=endpoint)).status_code == 202
    assert await accounts_of_events(ingest) == {"evt_cus_1": "acct_1"}
    row = await known(ingest, "acct_1")
    assert (row["parent"], row["provider_id"], row["mode"]) == ("other", "acct_1", "payload")
