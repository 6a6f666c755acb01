"""Checkout sessions by the official SDK: opened, found, listed, expired."""

from typing import Any

import pytest
import stripe
from stripe_shop import API_KEY, Shop, World

from mainstem.sandbox.stand_ins.faults import Fault, Kind
from mainstem.sandbox.stripe.hosted import purchases
from mainstem.sandbox.stripe.hosted.purchases import Payer
from mainstem.sandbox.stripe.wire.errors import StripeError

HOUR = 3_600


async def test_a_session_says_what_it_offers_and_where(world: World, shop: Shop) -> None:
    price = await shop.price(1250)
    customer = await shop.customer(None)
    session = await shop.checkout(
        price.id, customer=customer.id, client_reference_id="me", metadata={"attempt": "1"}
    )
    assert session.id.startswith("cs_test_")
    assert session.url == f"{world.url}/stripe/_pages/checkout/{session.id}"
    assert (session.mode, session.status, session.payment_status) == ("subscription", "open", "unpaid")
    assert (session.amount_total, session.currency) == (1250, "usd")
    assert (session.customer, session.client_reference_id) == (customer.id, "me")
    assert session.customer_details is not None
    assert session.customer_details.email == "ada@example.com"
    assert session.metadata is not None
    assert session.metadata.to_dict() == {"attempt": "1"}
    assert session.expires_at == session.created + 24 * HOUR
    assert (session.subscription, session.invoice) == (None, None)
    assert await shop.types(types=["checkout.session.*"]) == []


async def test_what_a_session_sells_is_shown_where_it_is_asked_for(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    session = await shop.checkout()
    assert "line_items" not in session.to_dict()
    expanded = await sdk.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["line_items"]})
    listed = await sdk.v1.checkout.sessions.line_items.list_async(session.id)
    assert expanded.line_items is not None
    assert expanded.line_items.to_dict() == listed.to_dict()
    (item,) = listed.data
    assert (item.description, item.quantity, item.amount_total) == ("VPN", 1, 999)
    assert item.price is not None
    page = await sdk.v1.checkout.sessions.list_async({"expand": ["data.line_items.data.price.product"]})
    assert page.data[0].line_items is not None
    assert page.data[0].line_items.data[0].price is not None
    product = page.data[0].line_items.data[0].price.product
    assert isinstance(product, stripe.Product)
    assert product.name == "VPN"


async def test_sessions_are_listed_by_customer_status_and_subscription(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    price = (await shop.price()).id
    mine, other = (await shop.customer(None)).id, (await shop.customer(None)).id
    first = await shop.checkout(price, customer=mine)
    second = await shop.checkout(price, customer=mine)
    await shop.checkout(price, customer=other)
    await sdk.v1.checkout.sessions.expire_async(first.id)

    async def found(**filters: Any) -> list[str]:
        by: Any = filters
        return [one.id for one in (await sdk.v1.checkout.sessions.list_async(by)).data]

    assert await found(customer=mine) == [second.id, first.id]
    assert await found(customer=mine, status="open") == [second.id]
    assert await found(status="expired") == [first.id]
    assert await found(subscription="sub_none") == []
    assert len(await found(customer_details={"email": "ada@example.com"})) == 3


async def test_a_session_expires_by_request_once(shop: Shop, sdk: stripe.StripeClient) -> None:
    session = await shop.checkout()
    expired = await sdk.v1.checkout.sessions.expire_async(session.id)
    assert (expired.status, expired.url) == ("expired", None)
    with pytest.raises(stripe.InvalidRequestError, match="status of expired"):
        await sdk.v1.checkout.sessions.expire_async(session.id)
    assert await shop.types(types=["checkout.session.*"]) == ["checkout.session.expired"]


async def test_a_session_expires_by_itself_at_its_instant(
    world: World, shop: Shop, sdk: stripe.StripeClient
) -> None:
    soon = await shop.checkout(expires_at=world.now + HOUR)
    late = await shop.checkout()
    await world.move_to(soon.expires_at)
    statuses = [(await sdk.v1.checkout.sessions.retrieve_async(one.id)).status for one in (soon, late)]
    assert statuses == ["expired", "open"]
    (event,) = await shop.events(type="checkout.session.expired")
    assert event.created == soon.expires_at
    await world.move_to(late.expires_at)
    assert (await sdk.v1.checkout.sessions.retrieve_async(late.id)).status == "expired"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"mode": "payment"}, "mode"),
        ({"line_items": []}, "line_items"),
        ({"line_items": [{"price": "price_none", "quantity": 1}]}, "line_items[0][price]"),
        ({"customer": "cus_none"}, "customer"),
        ({"customer_creation": "always"}, "customer_creation"),
        ({"success_url": "javascript:alert(1)"}, "success_url"),
        ({"cancel_url": "/away"}, "cancel_url"),
        ({"discounts": [{"coupon": "x"}]}, "discounts"),
        ({"subscription_data": {"trial_period_days": "soon"}}, "subscription_data[trial_period_days]"),
    ],
)
async def test_what_cannot_be_sold_is_refused_by_name(shop: Shop, more: dict[str, Any], param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.checkout(**more)
    assert refused.value.param == param


async def test_a_customer_is_named_once(shop: Shop) -> None:
    customer = (await shop.customer(None)).id
    with pytest.raises(stripe.InvalidRequestError, match="customer, customer_email"):
        await shop.checkout(customer=customer, customer_email="ada@example.com")


@pytest.mark.parametrize("seconds", [HOUR // 2 - 60, 24 * HOUR + 60])
async def test_a_session_is_open_for_half_an_hour_to_a_day(world: World, shop: Shop, seconds: int) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.checkout(expires_at=world.now + seconds)
    assert refused.value.param == "expires_at"


async def test_a_one_time_price_is_refused(shop: Shop, sdk: stripe.StripeClient) -> None:
    price = await sdk.v1.prices.create_async(
        {"currency": "usd", "unit_amount": 5, "product_data": {"name": "Mug"}}
    )
    with pytest.raises(stripe.InvalidRequestError, match="at least one recurring price"):
        await shop.checkout(price.id)
    with pytest.raises(stripe.InvalidRequestError, match="one_time"):
        await shop.subscription(price=price.id)


async def test_a_lost_answer_and_the_same_key_lead_to_the_same_session(world: World, shop: Shop) -> None:
    price = (await shop.price()).id
    world.faults.add(Fault(target="stripe", kind=Kind.LOSE_ANSWER, path="^/v1/checkout/sessions"))
    params: Any = {
        "mode": "subscription",
        "line_items": [{"price": price, "quantity": 1}],
        "success_url": "http://127.0.0.1:9/",
    }
    options: Any = {"idempotency_key": "reservation-1:1"}
    with pytest.raises(stripe.APIConnectionError):
        await shop.sdk.v1.checkout.sessions.create_async(params, options)
    (made,) = (await shop.sdk.v1.checkout.sessions.list_async()).data
    again = await shop.sdk.v1.checkout.sessions.create_async(params, options)
    assert (again.id, again.url) == (made.id, made.url)
    assert len((await shop.sdk.v1.checkout.sessions.list_async()).data) == 1


async def test_the_sdks_own_retry_finds_the_session(world: World, shop: Shop) -> None:
    price = (await shop.price()).id
    world.faults.add(Fault(target="stripe", kind=Kind.REPLACE_ANSWER, status=500, path="checkout"))
    client = stripe.StripeClient(
        API_KEY,
        base_addresses={"api": f"{world.url}/stripe"},
        http_client=world.http_client(),
        max_network_retries=1,
    )
    session = await Shop(world, client).checkout(price)
    assert [one.id for one in (await client.v1.checkout.sessions.list_async()).data] == [session.id]


async def test_a_session_sells_once(world: World, shop: Shop) -> None:
    account = world.stand_in.account
    session = account.store.get("checkout.session", (await shop.checkout()).id)
    payer = Payer("4242424242424242", "ada@example.com")
    purchases.pay(account, session, payer)
    before = await shop.types()
    for again in (purchases.pay, purchases.pay_later):
        with pytest.raises(StripeError, match="is complete"):
            again(account, session, payer)
    assert await shop.types() == before


async def test_prices_are_found_by_lookup_key_which_moves(shop: Shop, sdk: stripe.StripeClient) -> None:
    first = await shop.price(lookup_key="vpn-monthly")
    with pytest.raises(stripe.InvalidRequestError, match="lookup key"):
        await shop.price(lookup_key="vpn-monthly")
    second = await shop.price(1299, lookup_key="vpn-monthly", transfer_lookup_key=True)
    found = await sdk.v1.prices.list_async({"lookup_keys": ["vpn-monthly", "none"], "active": True})
    assert [price.id for price in found.data] == [second.id]
    assert (await sdk.v1.prices.retrieve_async(first.id)).lookup_key is None


async def test_customers_and_their_subscriptions_are_found(shop: Shop, sdk: stripe.StripeClient) -> None:
    subscription = await shop.subscription()
    await sdk.v1.customers.create_async({"email": "bob@example.com"})
    (ada,) = (await sdk.v1.customers.list_async({"email": "ada@example.com"})).data
    found = await sdk.v1.subscriptions.list_async({"customer": ada.id, "status": "all"})
    assert [one.id for one in found.data] == [subscription.id]
