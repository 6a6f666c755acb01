"""The shapes of Stripe's objects, era by era, against key sets that were published.

`key_sets.json` has, as facts: under `today` the keys of Stripe's published fixtures, under `before` the
typed fields of the SDK for 2025-02-24.acacia, less those that stand in some answers only. Payments of
invoices, which had no API then, keep today's keys.
"""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe
from stripe.params import _webhook_endpoint_create_params
from stripe_shop import API_KEY, Shop, World

from mainstem.sandbox.stripe import stand_in
from mainstem.sandbox.stripe.state import shapes
from mainstem.sandbox.stripe.wire import versions
from mainstem.sandbox.stripe.wire.versions import TODAY, Era

BEFORE = "2025-02-24.acacia"
KEY_SETS: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("key_sets.json").read_text(encoding="utf-8")
)
LINGERING = {"invoice": {"subscription"}}
"""Keys that Stripe's fixtures still have, though its API has not answered with them since 2025-03-31."""

SDK_CLASSES: dict[str, type] = {
    "billing_portal.configuration": stripe.billing_portal.Configuration,
    "billing_portal.session": stripe.billing_portal.Session,
    "checkout.session": stripe.checkout.Session,
    "customer": stripe.Customer,
    "event": stripe.Event,
    "invoice": stripe.Invoice,
    "invoice_payment": stripe.InvoicePayment,
    "invoiceitem": stripe.InvoiceItem,
    "item": stripe.LineItem,
    "line_item": stripe.InvoiceLineItem,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "plan": stripe.Plan,
    "price": stripe.Price,
    "product": stripe.Product,
    "subscription": stripe.Subscription,
    "subscription_item": stripe.SubscriptionItem,
    "subscription_schedule": stripe.SubscriptionSchedule,
    "webhook_endpoint": stripe.WebhookEndpoint,
}


def published(kind: str, era: Era) -> set[str]:
    keys = set(KEY_SETS[era.value][kind].split())
    return keys - LINGERING.get(kind, set()) if era is Era.TODAY else keys


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Go through every object inside an answer that has a key set of its own."""
    if isinstance(value, list):
        for member in value:
            yield from objects(member)
    elif isinstance(value, dict):
        if value.get("object") in shapes.KINDS and not value.get("deleted"):
            yield value
        for member in value.values():
            yield from objects(member)


async def ask(world: World, path: str, version: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {API_KEY}", "Stripe-Version": version}
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{world.url}/stripe/v1/{path}", headers=headers)
    assert answer.headers["stripe-version"] == version
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("kind", shapes.KINDS)
@pytest.mark.parametrize("era", Era)
def test_every_kind_has_exactly_the_published_keys(kind: str, era: Era) -> None:
    assert set(shapes.shown(shapes.blank(kind), era)) == published(kind, era)


@pytest.mark.parametrize("kind", shapes.KINDS)
def test_the_official_sdk_knows_every_key_of_today(kind: str) -> None:
    assert set(shapes.shown(shapes.blank(kind), Era.TODAY)) <= set(SDK_CLASSES[kind].__annotations__) | {
        "object"
    }


@pytest.mark.parametrize(("version", "era"), [(TODAY, Era.TODAY), (BEFORE, Era.BEFORE)])
async def test_every_answer_keeps_to_its_eras_keys(
    shop: Shop, sdk: stripe.StripeClient, world: World, version: str, era: Era
) -> None:
    subscription = await shop.subscription(trial_period_days=2)
    await sdk.v1.subscriptions.update_async(subscription.id, {"trial_end": "now"})
    item = subscription["items"].data[0].id
    await sdk.v1.subscription_items.update_async(item, {"quantity": 2})
    await sdk.v1.webhook_endpoints.create_async(
        {"url": "http://127.0.0.1:9/", "enabled_events": ["file.created"]}
    )
    lists = (
        "customers products prices payment_methods subscriptions invoices invoice_payments invoiceitems "
        "payment_intents webhook_endpoints "
        "checkout/sessions billing_portal/configurations"
    )
    session = await shop.checkout(subscription["items"].data[0].price.id)
    schedule = await sdk.v1.subscription_schedules.create_async({"from_subscription": subscription.id})
    seen = {"billing_portal.session"}  # No call but the one that makes it answers with it.
    for path in [
        *lists.split(),
        f"subscription_items?subscription={subscription.id}",
        f"checkout/sessions/{session.id}/line_items",
        f"subscription_schedules/{schedule.id}",
    ]:
        for shown in objects(await ask(world, path, version)):
            assert set(shown) == published(shown["object"], era)
            seen.add(shown["object"])
    assert seen == set(shapes.KINDS) - {"event"}


@pytest.mark.parametrize(("version", "era"), [(TODAY, Era.TODAY), (BEFORE, Era.BEFORE)])
async def test_a_portal_session_keeps_to_its_eras_keys(
    shop: Shop, world: World, version: str, era: Era
) -> None:
    params: Any = {"customer": (await shop.customer(None)).id}
    session = await world.client(version).v1.billing_portal.sessions.create_async(params)
    assert set(session.to_dict()) == published("billing_portal.session", era)


async def test_an_events_shapes_are_the_accounts_whatever_version_asks(shop: Shop, world: World) -> None:
    await shop.subscription()
    for event in objects(await ask(world, "events?limit=100", BEFORE)):
        assert set(event) == published(event["object"], Era.TODAY)


async def test_the_period_stands_on_the_items_or_on_the_subscription(shop: Shop, world: World) -> None:
    path = f"subscriptions/{(await shop.subscription()).id}"
    now, then = await ask(world, path, TODAY), await ask(world, path, BEFORE)
    item = now["items"]["data"][0]
    assert item["current_period_start"] < item["current_period_end"]
    for name in ("current_period_start", "current_period_end"):
        assert then[name] == item[name]
        assert name not in now
        assert name not in then["items"]["data"][0]


async def test_an_invoice_names_its_subscription_in_each_eras_way(shop: Shop, world: World) -> None:
    subscription = await shop.subscription(metadata={"plan": "pro"})
    path = f"invoices/{subscription.latest_invoice}"
    now, then = await ask(world, path, TODAY), await ask(world, path, BEFORE)
    assert now["parent"] == {
        "quote_details": None,
        "subscription_details": {"metadata": {"plan": "pro"}, "subscription": subscription.id},
        "type": "subscription_details",
    }
    assert "subscription" not in now
    assert (then["subscription"], then["subscription_details"]) == (
        subscription.id,
        {"metadata": {"plan": "pro"}},
    )
    assert "parent" not in then
    assert (then["paid"], then["status"]) == (True, "paid")


async def test_a_line_names_its_price_in_each_eras_way(shop: Shop, world: World) -> None:
    subscription = await shop.subscription()
    item = subscription["items"].data[0]
    path = f"invoices/{subscription.latest_invoice}/lines"
    (now,) = (await ask(world, path, TODAY))["data"]
    (then,) = (await ask(world, path, BEFORE))["data"]
    assert now["pricing"]["price_details"] == {"price": item.price.id, "product": item.price.product}
    assert now["parent"]["subscription_item_details"]["subscription_item"] == item.id
    assert "price" not in now
    assert (then["price"]["id"], then["type"]) == (item.price.id, "subscription")
    assert (then["subscription"], then["subscription_item"]) == (subscription.id, item.id)
    assert "parent" not in then
    assert "pricing" not in then


async def test_a_proration_line_names_its_invoice_item(
    shop: Shop, sdk: stripe.StripeClient, world: World
) -> None:
    subscription = await shop.subscription()
    await sdk.v1.subscriptions.update_async(
        subscription.id,
        {
            "items": [{"id": subscription["items"].data[0].id, "quantity": 2}],
            "proration_behavior": "always_invoice",
        },
    )
    invoice = (await ask(world, f"subscriptions/{subscription.id}", TODAY))["latest_invoice"]
    now = (await ask(world, f"invoices/{invoice}/lines", TODAY))["data"][0]
    then = (await ask(world, f"invoices/{invoice}/lines", BEFORE))["data"][0]
    assert now["parent"]["subscription_item_details"]["invoice_item"].startswith("ii_")
    assert now["parent"]["subscription_item_details"]["proration"] is True
    assert (then["type"], then["proration"]) == ("invoiceitem", True)
    assert then["invoice_item"] == now["parent"]["subscription_item_details"]["invoice_item"]


def test_the_account_speaks_the_pinned_sdks_version() -> None:
    assert stripe.api_version == TODAY
    assert versions.era(TODAY) is Era.TODAY
    assert versions.era(BEFORE) is Era.BEFORE


def test_the_official_sdk_knows_every_type_of_event() -> None:
    ours = "".join(
        module.read_text(encoding="utf-8") for module in Path(stand_in.__file__).parent.rglob("*.py")
    )
    kinds = "billing_portal|checkout|customer|invoice|invoiceitem|payment_method|price|product"
    named = set(re.findall(rf'"(?:{kinds})(?:\.[a-z_]+)+"', ours))
    recorded = named - {f'"{kind}"' for kind in shapes.KINDS}
    assert len(recorded) > 25
    assert recorded <= set(re.findall(r'"[a-z_.]+"', inspect.getsource(_webhook_endpoint_create_params)))


async def test_metadata_that_looks_like_an_object_stays_whole(shop: Shop, sdk: stripe.StripeClient) -> None:
    mine = {"object": "invoice", "subscription": "mine", "parent": "mine"}
    customer = await sdk.v1.customers.create_async({"metadata": mine})
    assert customer.metadata is not None
    assert customer.metadata.to_dict() == mine


async def test_an_unknown_version_is_refused(world: World) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Invalid Stripe API version: 2031-01-01"):
        await world.client("2031-01-01").v1.customers.list_async()
