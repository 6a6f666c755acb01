"""The door over HTTP: what is signed is stored once, everything else is sent away."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
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

from mainstem.common.http.endpoint import BODY_LIMIT
from mainstem.ingest.app import build
from mainstem.ingest.settings import Settings

SECRET = "whsec_first"
NEXT = "whsec_next"
OTHERS = "whsec_others"
BODY = events.event("customer.created", events.customer())


def settings(database_url: str, folder: Path, **more: Any) -> Settings:
    accounts = folder / "accounts.toml"
    accounts.write_text(f'[accounts.other]\nwebhook_secrets = ["{OTHERS}"]\napi_key = "sk_test_other"\n')
    return Settings(
        database_url=SecretStr(database_url),
        identity_jwks_url="http://127.0.0.1:9/jwks.json",
        stripe_webhook_secrets=SecretStr(f"{SECRET}, {NEXT}"),
        stripe_accounts_file=accounts,
        **more,
    )


@pytest.fixture(scope="module")
async def door(
    shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("door")
    async with (
        serving(build(settings(shared_database.urls["ingest"], folder))) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        yield client


def signed(body: bytes, secret: str = SECRET, *, age: float = 0) -> dict[str, str]:
    moment = int(time.time() - age)
    header = stripe.WebhookSignature.generate_signature_header(body.decode("latin-1"), secret, moment)
    return {"Stripe-Signature": header}


async def deliver(
    door: httpx.AsyncClient, body: bytes = BODY, *, path: str = "", **more: Any
) -> httpx.Response:
    return await door.post(f"/webhooks/stripe{path}", content=body, headers=signed(body, **more))


async def stored(ingest: Ingest) -> list[dict[str, Any]]:
    return await ingest.rows("SELECT * FROM inbox.event ORDER BY id")


async def test_an_event_is_stored_as_it_came(door: httpx.AsyncClient, ingest: Ingest) -> None:
    assert (await deliver(door)).status_code == 202
    (row,) = await stored(ingest)
    assert row["body"] == BODY
    assert (row["provider"], row["account"], row["status"]) == ("stripe", "default", "received")
    assert (row["type"], row["object_type"], row["object_id"]) == ("customer.created", "customer", "cus_1")
    assert (row["livemode"], row["api_version"]) == (False, "2026-10-28.endive")
    assert row["traceparent"] is not None


async def test_a_second_delivery_changes_nothing(door: httpx.AsyncClient, ingest: Ingest) -> None:
    assert (await deliver(door)).status_code == 202
    before = await stored(ingest)
    assert (await deliver(door)).status_code == 202
    assert await stored(ingest) == before


@pytest.mark.parametrize("secret", [SECRET, NEXT])
async def test_each_of_several_secrets_signs(door: httpx.AsyncClient, ingest: Ingest, secret: str) -> None:
    assert (await deliver(door, secret=secret)).status_code == 202
    assert len(await stored(ingest)) == 1


async def test_each_account_has_its_own_secrets(door: httpx.AsyncClient, ingest: Ingest) -> None:
    assert (await deliver(door, path="/other", secret=OTHERS)).status_code == 202
    assert (await deliver(door, path="/other", secret=SECRET)).status_code == 400
    assert (await deliver(door, secret=OTHERS)).status_code == 400
    assert [row["account"] for row in await stored(ingest)] == ["other"]


@pytest.mark.parametrize("path", ["/nobody", "/default%00"])
async def test_an_account_that_nobody_configured_is_not_found(
    door: httpx.AsyncClient, ingest: Ingest, path: str
) -> None:
    assert (await deliver(door, path=path)).status_code == 404
    assert await stored(ingest) == []


HEADERS = {
    "missing": {},
    "empty": {"Stripe-Signature": ""},
    "malformed": {"Stripe-Signature": "so long"},
    "no time": {"Stripe-Signature": signed(BODY)["Stripe-Signature"].partition(",")[2]},
    "odd time": {"Stripe-Signature": "t=5=6,v1=00"},
    "huge time": {"Stripe-Signature": f"t={'9' * 400},v1=00"},
    "over 4 KiB": {"Stripe-Signature": f"{signed(BODY)['Stripe-Signature']},v0={'0' * 4_096}"},
    "forged": signed(BODY, "whsec_forged"),
    "of another body": signed(BODY + b" "),
    "another scheme": {"Stripe-Signature": signed(BODY)["Stripe-Signature"].replace("v1=", "v0=")},
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
async def test_what_nobody_signed_now_is_refused_and_not_stored(
    door: httpx.AsyncClient, ingest: Ingest, headers: dict[str, str]
) -> None:
    answer = await door.post("/webhooks/stripe", content=BODY, headers=headers)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert await stored(ingest) == []


@pytest.mark.parametrize("age", [310, -310, 40 * 86_400, -40 * 86_400])
async def test_a_signature_of_another_time_is_refused_and_not_stored(
    door: httpx.AsyncClient, ingest: Ingest, age: float
) -> None:
    assert (await deliver(door, age=age)).status_code == 400
    assert await stored(ingest) == []


async def test_a_letter_beyond_ascii_in_the_signature_is_refused(
    door: httpx.AsyncClient, ingest: Ingest
) -> None:
    header = b"t=1,v1=" + "\u00e9".encode("latin-1")
    answer = await door.post("/webhooks/stripe", content=BODY, headers={b"Stripe-Signature": header})
    assert answer.status_code == 400


@pytest.mark.parametrize("age", [250, -250])
async def test_a_signature_of_some_minutes_is_taken_on_both_sides(
    door: httpx.AsyncClient, ingest: Ingest, age: float
) -> None:
    assert (await deliver(door, age=age)).status_code == 202


async def test_bytes_that_are_no_text_are_refused(door: httpx.AsyncClient, ingest: Ingest) -> None:
    answer = await door.post("/webhooks/stripe", content=b"\xff\xfe", headers=signed(b"x"))
    assert answer.status_code == 400


NUL_IDS = {
    "event id": events.event("customer.created", events.customer(), one="evt_\0"),
    "type": events.event("customer.\0", events.customer(), one="evt_1"),
    "account": events.event("customer.created", events.customer(), account="acct_\0"),
    "object id": events.event("customer.created", events.customer("cus_\0"), one="evt_1"),
}
BAD_BODIES = {
    "empty": b"",
    "text": b"hello",
    "half": BODY[:-9],
    "a list": b"[]",
    "a number": b"7",
    "no id": json.dumps({"type": "customer.created", "data": {"object": {}}}).encode(),
    "no type": json.dumps({"id": "evt_1", "data": {"object": {}}}).encode(),
    "an odd id": json.dumps({"id": 7, "type": "customer.created"}).encode(),
    "half a surrogate": json.dumps({"id": "evt_\ud800", "type": "customer.created"}).encode(),
    "too deep": b"[" * 100_000,
    **NUL_IDS,
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_what_is_no_event_is_refused_and_not_stored(
    door: httpx.AsyncClient, ingest: Ingest, body: bytes
) -> None:
    assert (await deliver(door, body)).status_code == 400
    assert await stored(ingest) == []


ODD_BODIES = {
    "a NUL elsewhere": events.event("customer.created", events.customer(name="\0")),
    "half a surrogate elsewhere": events.event("customer.created", events.customer(name="\ud800")),
    "an odd time": events.event("customer.created", events.customer(), at="now", one="evt_1"),  # type: ignore[arg-type]  # odd on purpose
    "the year 10000": events.event("customer.created", events.customer(), at=253_402_300_800, one="evt_1"),
    "a customer of the year 10000": events.event(
        "customer.created", events.customer(created=253_402_300_800), one="evt_1"
    ),
    "a time beyond all times": events.event("customer.created", events.customer(), at=10**18, one="evt_1"),
    "an odd version": events.event("customer.created", events.customer(), api_version="\0"),
}


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES)
async def test_an_event_that_will_break_the_mirror_is_stored_and_dies_there(
    door: httpx.AsyncClient, ingest: Ingest, body: bytes
) -> None:
    assert (await deliver(door, body)).status_code == 202
    ingest.clock.time = datetime.now(UTC)
    await ingest.pipeline(failures_to_dead=1).work()
    (row,) = await stored(ingest)
    assert row["status"] == ("done" if b'api_version": "\\u0000' in body else "dead")


@pytest.mark.parametrize(
    "body",
    [
        events.event("balance.available", {"object": "balance"}),
        events.event("never.heard.of", {"id": "x_1", "object": "x"}),
        events.event("invoice.upcoming", events.invoice() | {"id": None}),
        json.dumps({"id": "evt_1", "type": "ping"}).encode(),
    ],
)
async def test_what_nobody_works_on_is_kept_and_ignored(
    door: httpx.AsyncClient, ingest: Ingest, body: bytes
) -> None:
    assert (await deliver(door, body)).status_code == 202
    (row,) = await stored(ingest)
    assert (row["status"], row["body"]) == ("ignored", body)


async def test_a_body_over_the_limit_is_refused(door: httpx.AsyncClient, ingest: Ingest) -> None:
    body = events.event("customer.created", events.customer(name="x" * BODY_LIMIT))
    assert (await deliver(door, body)).status_code == 413
    assert await stored(ingest) == []


async def test_other_methods_are_refused(door: httpx.AsyncClient) -> None:
    assert (await door.get("/webhooks/stripe")).status_code == 405


async def test_the_door_is_public_and_nothing_else_is(door: httpx.AsyncClient) -> None:
    for path in ("/anything", "/webhooks/anything", "/webhooks/stripe/other/more"):
        assert (await door.get(path)).status_code == 401
    assert (await door.get("/__heartbeat__")).status_code == 200


async def test_a_crowd_of_deliveries_shares_commits(door: httpx.AsyncClient, ingest: Ingest) -> None:
    bodies = [events.event("customer.created", events.customer(f"cus_{n}")) for n in range(200)]
    answers = await asyncio.gather(*(deliver(door, body) for body in bodies))
    assert {answer.status_code for answer in answers} == {202}
    assert len(await stored(ingest)) == 200
    rows = await ingest.rows("SELECT count(DISTINCT xmin::text) AS commits FROM inbox.event")
    assert rows[0]["commits"] < 100


@asynccontextmanager
async def renamed(ingest: Ingest, table: str, name: str) -> AsyncIterator[None]:
    """Have the inbox's table under another name for a while, so that nothing can be stored."""
    try:
        async with ingest.owner.transaction() as connection:
            await connection.execute(f"ALTER TABLE inbox.{table} RENAME TO {name}")
        yield
    finally:
        async with ingest.owner.transaction() as connection:
            await connection.execute(f"ALTER TABLE inbox.{name} RENAME TO {table}")


async def test_while_nothing_can_be_stored_stripe_is_asked_to_come_again(
    database: Database, ingest: Ingest, tmp_path: Path
) -> None:
    async with (
        serving(build(settings(database.urls["ingest"], tmp_path))) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        async with renamed(ingest, "event", "away"):
            answer = await deliver(client)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert (await deliver(client)).status_code == 202


def test_the_door_imports_no_orm() -> None:
    code = (
        "import sys, mainstem.ingest.app;"
        "print([name for name in ('sqlmodel', 'sqlalchemy', 'alembic') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
