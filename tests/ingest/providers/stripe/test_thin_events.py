"""Thin events, and others that should be worked on and cannot be: never passed over in silence."""

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe
import stripe_events as events
from fetch_world import open_fetch_world
from ingest_bench import Ingest
from pydantic import SecretStr
from servers import Database
from serving import serving
from structlog.testing import capture_logs

from mainstem.ingest.app import build
from mainstem.ingest.inbox.replay import replay as replay_events
from mainstem.ingest.settings import Settings

# The SDK hands httpx its form in a way that httpx deprecates; only the shop posts any.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

SECRET = "whsec_thin"


@pytest.fixture(scope="module")
async def door(shared_database: Database) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        database_url=SecretStr(shared_database.urls["ingest"]),
        identity_jwks_url="http://127.0.0.1:9/jwks.json",
        stripe_webhook_secrets=SecretStr(SECRET),
    )
    async with (
        serving(build(settings)) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        yield client


def thin(type_: str, kind: str | None = "subscription", one: str = "evt_thin", **more: Any) -> bytes:
    about = None if kind is None else {"id": "sub_1", "type": kind, "url": "/v1/subscriptions/sub_1"}
    created = "2026-11-28T10:00:00.000Z"
    head = {"id": one, "object": "v2.core.event", "type": type_, "livemode": False, "created": created}
    return json.dumps({**head, "related_object": about, **more}).encode()


def _about(customer: str) -> dict[str, str]:
    return {"id": customer, "type": "customer", "url": f"/v1/customers/{customer}"}


async def deliver(door: httpx.AsyncClient, body: bytes) -> httpx.Response:
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET, int(time.time()))
    return await door.post("/webhooks/stripe", content=body, headers={"Stripe-Signature": header})


@pytest.mark.parametrize(
    "body",
    [
        thin("v1.customer.subscription.deleted"),
        thin("v1.customer.subscription.past_due"),
        thin("v1.customer.subscription.item_added", changes={"before": {}, "after": {}}),
        thin("v1.invoice.paid", "invoice", context="acct_1", snapshot_event="evt_twin"),
        thin("v1.customer.created", None),
        thin("v1.price.lookup_key_changed", "price", data={"price": "price_1"}),
        thin("v1.price.updated", "price", data={"object": {"id": "price_1"}}, created=None),
        thin("v1.product.updated", "product", data={"object": {"id": "prod_1"}}, created=1_795_000_000),
        thin("v1.customer.subscription.item_added", "subscription_item"),
        thin("v1.customer.updated", related_object={"id": "cus_1"}),
        thin("v1.customer.updated", related_object="cus_1"),
        thin("v1.invoice.paid", "invoice", livemode="odd", created=7),
        thin("v1.invoice.paid", "invoice", object="event"),
        thin("invoice.paid", "invoice"),
        thin("v2.core.health.event_generation_failure.resolved", None, data={"related_object": {}}),
        events.event("customer.updated", events.customer() | {"id": None}),
        json.dumps({"id": "evt_1", "type": "customer.subscription.deleted"}).encode(),
        json.dumps({"id": "evt_1", "type": "price.created", "data": {"object": 7}}).encode(),
    ],
)
async def test_an_event_that_cannot_be_worked_on_and_should_is_a_dead_letter_and_an_error(
    door: httpx.AsyncClient, ingest: Ingest, body: bytes
) -> None:
    with capture_logs() as logs:
        assert (await deliver(door, body)).status_code == 202
    (row,) = await ingest.rows("SELECT * FROM inbox.event")
    assert (row["status"], row["body"]) == ("dead", body)
    (line,) = [one for one in logs if one["event"] == "event.dead_lettered"]
    assert (line["log_level"], line["reason"]) == ("error", row["last_error"])
    assert await ingest.pipeline().work() == 0


async def test_the_error_of_a_thin_event_names_the_setting_to_change(
    door: httpx.AsyncClient, ingest: Ingest
) -> None:
    await deliver(door, thin("v1.customer.subscription.deleted"))
    (row,) = await ingest.rows("SELECT * FROM inbox.event")
    assert "payload style" in row["last_error"]
    assert (row["object_type"], row["object_id"], row["livemode"]) == ("subscription", "sub_1", False)
    assert row["created"] == datetime(2026, 11, 28, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "body",
    [
        thin("v1.charge.failed", "charge"),
        thin("v1.invoice.upcoming", None),
        thin("v2.core.account.updated", "v2.core.account"),
    ],
)
async def test_a_thin_event_about_what_is_not_mirrored_is_ignored(
    door: httpx.AsyncClient, ingest: Ingest, body: bytes
) -> None:
    with capture_logs() as logs:
        assert (await deliver(door, body)).status_code == 202
    assert set((await ingest.statuses()).values()) == {"ignored"}
    assert not [one for one in logs if one["event"] == "event.dead_lettered"]


async def test_a_thin_event_with_a_nul_in_its_id_is_refused(door: httpx.AsyncClient, ingest: Ingest) -> None:
    assert (await deliver(door, thin("v1.invoice.paid", "invoice", "evt_\0"))).status_code == 400
    assert await ingest.rows("SELECT * FROM inbox.event") == []


async def test_a_thin_event_that_comes_again_stays_dead(door: httpx.AsyncClient, ingest: Ingest) -> None:
    body = thin("v1.customer.subscription.deleted")
    await deliver(door, body)
    await deliver(door, body)
    (row,) = await ingest.rows("SELECT * FROM inbox.event")
    assert row["status"] == "dead"
    assert row["last_error"]


async def test_a_replayed_thin_event_fails_by_the_same_reason_without_a_key(
    door: httpx.AsyncClient, ingest: Ingest
) -> None:
    await deliver(door, thin("v1.customer.subscription.deleted"))
    (before,) = await ingest.rows("SELECT * FROM inbox.event")
    assert await replay(ingest) == 1
    await ingest.pipeline(failures_to_dead=1).work()
    (after,) = await ingest.rows("SELECT * FROM inbox.event")
    assert (after["status"], after["last_error"]) == ("dead", before["last_error"])


async def test_a_replayed_thin_event_has_its_object_fetched_with_a_key(
    door: httpx.AsyncClient, ingest: Ingest, tmp_path: Path
) -> None:
    async with open_fetch_world(tmp_path) as world:
        customer = await world.shop.customer(card=None)
        await deliver(door, thin("v1.customer.updated", "customer", related_object=_about(customer.id)))
        assert await replay(ingest) == 1
        await ingest.pipeline(world.source(ingest.pool)).work()
    assert [row["id"] for row in await ingest.table("customer")] == [customer.id]
    assert set((await ingest.statuses()).values()) == {"done"}


async def test_an_ignored_event_can_be_replayed_and_says_that_its_type_is_not_worked_on(
    door: httpx.AsyncClient, ingest: Ingest
) -> None:
    await deliver(door, events.event("balance.available", {"object": "balance"}))
    assert await replay(ingest) == 1
    await ingest.pipeline(failures_to_dead=1).work()
    (row,) = await ingest.rows("SELECT * FROM inbox.event")
    assert (row["status"], row["last_error"]) == (
        "dead",
        "events of this type are not worked on in this release",
    )


async def replay(ingest: Ingest) -> int:
    ingest.clock.time = datetime.now(UTC)
    async with ingest.pool.transaction() as connection:
        ids = [row["id"] for row in await connection.fetch("SELECT id FROM inbox.event")]
        return len(await replay_events(connection, ids, ingest.clock.now()))
