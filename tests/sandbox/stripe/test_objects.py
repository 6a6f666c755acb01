"""Each kind of object, made, read, changed, listed and deleted by the official SDK."""

from typing import Any

import pytest
import stripe
from stripe_shop import Shop, World


async def test_a_customer_is_made_changed_listed_and_deleted(sdk: stripe.StripeClient, shop: Shop) -> None:
    customers = sdk.v1.customers
    made = await customers.create_async(
        {
            "email": "ada@example.com",
            "description": "fxa-1",
            "metadata": {"kept": "1", "gone": "2"},
            "address": {"city": "Lisbon", "country": "PT"},
        }
    )
    changed = await customers.update_async(
        made.id, {"name": "Ada", "description": "", "metadata": {"gone": "", "new": "3"}}
    )
    assert (changed.name, changed.description) == ("Ada", None)
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"kept": "1", "new": "3"}
    assert changed.address is not None
    assert changed.address.city == "Lisbon"
    found = await customers.list_async({"email": "ada@example.com"})
    assert [customer.id for customer in found.data] == [made.id]
    deleted = await customers.delete_async(made.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (made.id, "customer", True)
    assert (await customers.retrieve_async(made.id)).deleted is True
    assert (await customers.list_async()).data == []
    assert await shop.types() == ["customer.created", "customer.updated", "customer.deleted"]


async def test_a_product_comes_with_its_default_price(sdk: stripe.StripeClient, shop: Shop) -> None:
    product = await sdk.v1.products.create_async(
        {
            "name": "VPN",
            "default_price_data": {"currency": "EUR", "unit_amount": 500, "recurring": {"interval": "year"}},
            "expand": ["default_price"],
        }
    )
    price = product.default_price
    assert isinstance(price, stripe.Price)
    assert (price.product, price.unit_amount, price.currency) == (product.id, 500, "eur")
    assert price.recurring is not None
    assert (price.recurring.interval, price.recurring.interval_count) == ("year", 1)
    assert await shop.types() == ["product.created", "price.created", "product.updated"]
    with pytest.raises(stripe.InvalidRequestError, match="one or more user-created prices"):
        await sdk.v1.products.delete_async(product.id)
    bare = await sdk.v1.products.create_async({"name": "Relay", "active": False})
    assert [p.id for p in (await sdk.v1.products.list_async({"active": True})).data] == [product.id]
    assert (await sdk.v1.products.update_async(bare.id, {"active": True, "name": "Relay+"})).name == "Relay+"
    assert (await sdk.v1.products.delete_async(bare.id)).deleted is True
    with pytest.raises(stripe.InvalidRequestError, match="No such product"):
        await sdk.v1.products.retrieve_async(bare.id)


async def test_a_price_keeps_its_amount_and_gives_its_lookup_key_away(sdk: stripe.StripeClient) -> None:
    half: Any = {
        "currency": "usd",
        "product_data": {"name": "Minutes"},
        "unit_amount_decimal": "12.5",
        "lookup_key": "minutes",
    }
    first = await sdk.v1.prices.create_async(half)
    assert (first.type, first.unit_amount, str(first.unit_amount_decimal)) == ("one_time", None, "12.5")
    terms: Any = {"currency": "usd", "unit_amount": 13, "product": first.product, "lookup_key": "minutes"}
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        await sdk.v1.prices.create_async(terms)
    second = await sdk.v1.prices.create_async(terms | {"transfer_lookup_key": True})
    found = await sdk.v1.prices.list_async({"lookup_keys": ["minutes"]})
    assert [price.id for price in found.data] == [second.id]
    assert (await sdk.v1.prices.update_async(first.id, {"active": False})).active is False
    dearer: Any = {"unit_amount": 1}
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: unit_amount"):
        await sdk.v1.prices.update_async(first.id, dearer)


async def test_a_test_card_becomes_a_new_payment_method_each_time(
    sdk: stripe.StripeClient, shop: Shop
) -> None:
    customer = await shop.customer(card=None)
    first = await sdk.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    second = await sdk.v1.payment_methods.attach_async("pm_card_mastercard", {"customer": customer.id})
    assert first.card is not None
    assert (first.card.brand, first.card.last4, first.customer) == ("visa", "4242", customer.id)
    listed = await sdk.v1.payment_methods.list_async({"customer": customer.id, "type": "card"})
    assert [method.id for method in listed.data] == [second.id, first.id]
    of_customer = await sdk.v1.customers.payment_methods.list_async(customer.id)
    assert [method.id for method in of_customer.data] == [second.id, first.id]


async def test_a_detached_method_is_nobodys_default(sdk: stripe.StripeClient, shop: Shop) -> None:
    customer = await shop.customer()
    assert customer.invoice_settings is not None
    default = customer.invoice_settings.default_payment_method
    assert isinstance(default, str)
    subscription = await shop.subscription(customer=customer.id, default_payment_method=default)
    detached = await sdk.v1.payment_methods.detach_async(default)
    assert detached.customer is None
    after = await sdk.v1.customers.retrieve_async(customer.id)
    assert after.invoice_settings is not None
    assert after.invoice_settings.default_payment_method is None
    assert (await sdk.v1.subscriptions.retrieve_async(subscription.id)).default_payment_method is None


async def test_a_card_number_or_token_makes_a_method(sdk: stripe.StripeClient, shop: Shop) -> None:
    cards: list[Any] = [
        {"token": "tok_visa"},
        {"number": "4242 4242 4242 4242", "exp_month": 4, "exp_year": 2044},
    ]
    for card in cards:
        method = await sdk.v1.payment_methods.create_async(
            {"type": "card", "card": card, "billing_details": {"name": "Ada", "address": {"city": "Porto"}}}
        )
        assert method.customer is None
        assert method.billing_details.address is not None
        assert (method.billing_details.name, method.billing_details.address.city) == ("Ada", "Porto")
    customer = await sdk.v1.customers.create_async({"payment_method": method.id})
    assert (await sdk.v1.payment_methods.retrieve_async(method.id)).customer == customer.id


async def test_a_refused_card_leaves_no_customer_behind(sdk: stripe.StripeClient, shop: Shop) -> None:
    with pytest.raises(stripe.CardError) as refused:
        await sdk.v1.customers.create_async({"payment_method": "pm_card_chargeDeclined"})
    assert (refused.value.http_status, refused.value.code) == (402, "card_declined")
    assert (await sdk.v1.customers.list_async()).data == []
    assert await shop.types() == []


async def test_an_endpoint_shows_its_secret_once(sdk: stripe.StripeClient, world: World) -> None:
    endpoints = sdk.v1.webhook_endpoints
    made = await endpoints.create_async(
        {"url": "http://127.0.0.1:9/hook", "enabled_events": ["*"], "api_version": "2024-06-20"}
    )
    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    assert made.api_version == "2024-06-20"
    assert "secret" not in await endpoints.retrieve_async(made.id)
    changed = await endpoints.update_async(made.id, {"disabled": True, "enabled_events": ["invoice.paid"]})
    assert (changed.status, changed.enabled_events) == ("disabled", ["invoice.paid"])
    assert [endpoint.id for endpoint in (await endpoints.list_async()).data] == [made.id]
    assert (await endpoints.delete_async(made.id)).deleted is True
    assert (await endpoints.list_async()).data == []
    assert world.stand_in.pending() == 0


@pytest.mark.parametrize(
    "url",
    ["https://example.com/hook", "http://10.0.0.1/hook", "http://127.0.0.1.example.com/", "ftp://[::1]/"],
)
async def test_an_endpoint_outside_loopback_is_refused(sdk: stripe.StripeClient, url: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="loopback"):
        await sdk.v1.webhook_endpoints.create_async({"url": url, "enabled_events": ["*"]})


async def test_reset_forgets_all_but_the_standing_endpoint(world: World, sdk: stripe.StripeClient) -> None:
    world.stand_in.add_endpoint("http://127.0.0.1:9/hook", secret="whsec_standing")
    await sdk.v1.customers.create_async({"name": "Ada"})
    await world.stand_in.reset()
    holds = world.stand_in.holds()
    assert holds["event"] == []
    assert holds.get("customer", []) == []
    assert [endpoint["url"] for endpoint in holds["webhook_endpoint"]] == ["http://127.0.0.1:9/hook"]
    assert world.stand_in.received() == []
