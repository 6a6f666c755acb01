"""The door for bare objects over HTTP: behind the gateway's identity, stored before the answer."""

from collections.abc import AsyncIterator

import httpx
import pytest
from bare_objects import customer, encoded
from ingest_bench import Ingest
from pydantic import SecretStr
from servers import Database
from serving import serving
from sync_world import Gateway

from mainstem.ingest.app import build
from mainstem.ingest.settings import Settings


@pytest.fixture(scope="module")
async def door(shared_database: Database) -> AsyncIterator[httpx.AsyncClient]:
    gateway = Gateway()
    async with serving(gateway.app) as base:
        settings = Settings(
            database_url=SecretStr(shared_database.urls["ingest"]),
            identity_jwks_url=f"{base}/.well-known/jwks.json",
        )
        headers = {"Authorization": f"Bearer {gateway.identity('ingest')}"}
        async with (
            serving(build(settings)) as url,
            httpx.AsyncClient(base_url=url, headers=headers) as client,
        ):
            yield client


async def test_an_object_is_stored_when_it_is_answered(door: httpx.AsyncClient, ingest: Ingest) -> None:
    body = encoded(customer(livemode=True))
    answer = await door.post("/stripe", content=body)
    assert (answer.status_code, answer.json()) == (200, {"status": "OK"})
    (row,) = await ingest.rows("SELECT * FROM inbox.event")
    assert (row["type"], row["object_type"], row["object_id"]) == ("bare.customer", "customer", "cus_1")
    assert (row["status"], row["body"], row["livemode"], row["created"]) == ("received", body, True, None)


async def test_the_same_object_again_is_an_event_of_its_own(door: httpx.AsyncClient, ingest: Ingest) -> None:
    for _ in range(2):
        await door.post("/stripe", content=encoded(customer()))
    assert len(await ingest.statuses()) == 2


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"no json", "Request JSON is not recognized."),
        (b"null", "Request JSON is not recognized."),
        (b'{"id": "pm_1", "object": "payment_method"}', "Unable to process Stripe object."),
    ],
)
async def test_what_cannot_be_read_is_not_stored(
    door: httpx.AsyncClient, ingest: Ingest, body: bytes, detail: str
) -> None:
    answer = await door.post("/stripe", content=body)
    assert (answer.status_code, answer.json()["detail"]) == (400, detail)
    assert await ingest.statuses() == {}


LEVELS = 64


@pytest.mark.parametrize(
    "member",
    [
        b'"balance": NaN',
        b'"balance": 1e400',
        b'"balance": ' + b"9" * 5_000,
        b'"id": "cus_2"',
        b'"name": "\xff"',
        b'"name": "\\ud800"',
        b'"metadata": ' + b"[" * LEVELS + b"]" * LEVELS,
    ],
)
async def test_what_is_no_json_is_not_stored(door: httpx.AsyncClient, ingest: Ingest, member: bytes) -> None:
    body = encoded(customer())
    assert (await door.post("/stripe", content=body[:-1] + b', "more": 1}')).status_code == 200
    answer = await door.post("/stripe", content=body[:-1] + b", " + member + b"}")
    assert (answer.status_code, answer.json()["detail"]) == (400, "Request JSON is not recognized.")
    assert len(await ingest.statuses()) == 1


async def test_nobody_gets_in_without_an_identity(door: httpx.AsyncClient, ingest: Ingest) -> None:
    answer = await door.post("/stripe", content=encoded(customer()), headers={"Authorization": ""})
    assert answer.status_code == 401
    assert await ingest.statuses() == {}
