"""For an hour Stripe's address answers anything but the truth: no product is lost, every event ends right."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from false_answers import AS_HTML, HTML, OBJECTS
from tests.conformance.run import Stacks

from mainstem.sandbox.demo.actors import Actors, open_actors

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")]

PATIENCE_SECONDS = 60
FXA_ID, EMAIL = "fxa-absence", "absence@example.com"
QUARTER = timedelta(minutes=15)

PRODUCTS = "SELECT product_id, segment FROM subscription.product_subscription"
BURIED = """
SELECT (SELECT count(*) FROM stripe.subscription WHERE deleted)
     + (SELECT count(*) FROM stripe.customer WHERE deleted)
"""
UNFINISHED = "SELECT type, status, last_error FROM inbox.event WHERE status NOT IN ('done', 'ignored')"
MIRRORED = "SELECT cancel_at_period_end, metadata ->> 'note' AS note FROM stripe.subscription"

ANSWERS: tuple[dict[str, Any], ...] = (
    {"status": 404, "headers": AS_HTML, "body": HTML},
    {"status": 403, "headers": AS_HTML, "body": HTML},
    {"status": 200, "headers": AS_HTML, "body": HTML},
    {"status": 200, "body": json.dumps(OBJECTS["customer"])},
)
"""What every read at Stripe's address answers, for a quarter of an hour each."""


async def test_hour_of_false_answers_loses_no_product_and_every_event_ends_right(stacks: Stacks) -> None:
    async with open_actors(await stacks.empty()) as actors:
        contact, subscription = await _sell(actors)
        before = await _products(actors, contact)
        for number, answer in enumerate(ANSWERS):
            await _answer_falsely(actors, subscription, number, answer)
            assert await actors.database.fetchval(BURIED) == 0
            assert await _products(actors, contact) == before
        await actors.world.http.delete("/_sandbox/faults")
        await actors.world.move_to(await actors.world.now() + timedelta(hours=1))
        await actors.world.settle()
        assert await actors.database.fetch(UNFINISHED) == []
        (mirrored,) = await actors.database.fetch(MIRRORED)
        assert dict(mirrored) == {"cancel_at_period_end": True, "note": "3"}
        segments, rows = await _products(actors, contact)
        assert [*segments.values()] == ["cancelling"]
        assert [row["segment"] for row in rows.values()] == ["cancelling"]


async def _sell(actors: Actors) -> tuple[str, str]:
    """Sell a subscription to a contact, and return the ids of both once the platform knows of it."""
    v1 = actors.seller.v1
    await actors.caller.authorise()
    fxa = {"fxa_id": FXA_ID, "primary_email": EMAIL}
    contact = await actors.caller.create_contact({"email": {"primary_email": EMAIL}, "fxa": fxa})
    price: Any = {
        "currency": "usd",
        "unit_amount": 999,
        "recurring": {"interval": "month"},
        "product_data": {"name": "VPN"},
    }
    sold = await v1.prices.create_async(price)
    customer = await v1.customers.create_async({"description": FXA_ID})
    method = await v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    settings: Any = {"default_payment_method": method.id}
    await v1.customers.update_async(customer.id, {"invoice_settings": settings})
    items: Any = [{"price": sold.id}]
    subscription = await v1.subscriptions.create_async({"customer": customer.id, "items": items})
    await actors.world.settle()
    return contact, subscription.id


async def _products(actors: Actors, contact: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the derived segments by product, and the platform's rows of the contact."""
    rows = await actors.database.fetch(PRODUCTS)
    segments = {row["product_id"]: row["segment"] for row in rows}
    assert segments
    platform = (await actors.world.acoustic())["product"][contact]
    return segments, dict(platform)


async def _answer_falsely(actors: Actors, subscription: str, number: int, answer: dict[str, Any]) -> None:
    """Have every read answered like this, change the subscription, and let a quarter of an hour pass."""
    rule = {"target": "stripe", "kind": "status", "method": "GET", "path": "^/v1/", "remaining": None}
    await actors.world.http.delete("/_sandbox/faults")
    await actors.world.http.post("/_sandbox/faults", json={**rule, **answer})
    change: Any = {"metadata": {"note": str(number)}, "cancel_at_period_end": True}
    await actors.seller.v1.subscriptions.update_async(subscription, change)
    await actors.world.move_to(await actors.world.now() + QUARTER)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await _applied(actors):  # noqa: ASYNC110 -- another process sets no event of ours
            await asyncio.sleep(0.1)


async def _applied(actors: Actors) -> int:
    """Return how many reads were answered falsely since the rule was given."""
    applied = (await actors.world.http.get("/_sandbox/faults")).json()["applied"]
    return int(applied.get("stripe", 0))
