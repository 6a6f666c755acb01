"""The billing portal by the official SDK: configurations, sessions, and where their flows may lead."""

from typing import Any

import pytest
import stripe
from stripe_shop import Shop

FEATURES: Any = {"subscription_cancel": {"enabled": True, "mode": "immediately"}}


async def opened(shop: Shop, customer: str, **more: Any) -> stripe.billing_portal.Session:
    params: Any = {"customer": customer, "return_url": "http://127.0.0.1:9/account", **more}
    return await shop.sdk.v1.billing_portal.sessions.create_async(params)


def flow(kind: str, subscription: str | None = None, **more: Any) -> dict[str, Any]:
    named = {} if subscription is None else {kind: {"subscription": subscription, **more}}
    return {"type": kind, **named}


async def test_a_session_leads_to_a_page_of_its_customer(shop: Shop) -> None:
    customer = await shop.customer(None)
    session = await opened(shop, customer.id)
    assert session.url == f"{shop.world.url}/stripe/_pages/portal/{session.id}"
    assert (session.customer, session.flow) == (customer.id, None)
    assert (await shop.types())[-1] == "billing_portal.session.created"


async def test_there_is_one_default_configuration(shop: Shop, sdk: stripe.StripeClient) -> None:
    session = await opened(shop, (await shop.customer(None)).id)
    (found,) = (await sdk.v1.billing_portal.configurations.list_async()).data
    assert (found.id, found.is_default, found.active) == (session.configuration, True, True)
    assert found.features.subscription_cancel.mode == "at_period_end"


async def test_a_configuration_is_made_found_and_changed(shop: Shop, sdk: stripe.StripeClient) -> None:
    made = await sdk.v1.billing_portal.configurations.create_async(
        {"features": FEATURES, "default_return_url": "http://127.0.0.1:9/home"}
    )
    assert made.features.subscription_cancel.mode == "immediately"
    assert not made.features.payment_method_update.enabled
    change: Any = {"features": {"payment_method_update": {"enabled": True}}, "name": "plain"}
    await sdk.v1.billing_portal.configurations.update_async(made.id, change)
    found = await sdk.v1.billing_portal.configurations.retrieve_async(made.id)
    assert (found.name, found.features.payment_method_update.enabled) == ("plain", True)
    assert found.features.subscription_cancel.enabled
    customer = await shop.customer(None)
    params: Any = {"customer": customer.id, "configuration": made.id}
    session = await sdk.v1.billing_portal.sessions.create_async(params)
    assert (session.configuration, session.return_url) == (made.id, "http://127.0.0.1:9/home")
    await sdk.v1.billing_portal.configurations.update_async(made.id, {"active": False})
    with pytest.raises(stripe.InvalidRequestError, match="not active"):
        await sdk.v1.billing_portal.sessions.create_async(params)


async def test_a_flow_is_shown_as_it_was_asked_for(shop: Shop) -> None:
    subscription = await shop.subscription()
    after = {"type": "redirect", "redirect": {"return_url": "http://127.0.0.1:9/gone"}}
    flow_data = flow("subscription_cancel", subscription.id) | {"after_completion": after}
    session = await opened(shop, str(subscription.customer), flow_data=flow_data)
    assert session.flow is not None
    assert session.flow.type == "subscription_cancel"
    assert session.flow.subscription_cancel is not None
    assert session.flow.subscription_cancel.subscription == subscription.id
    assert session.flow.after_completion.redirect is not None
    assert session.flow.after_completion.redirect.return_url == "http://127.0.0.1:9/gone"


async def test_a_flow_needs_a_subscription_of_the_customers_own(shop: Shop) -> None:
    subscription, other = await shop.subscription(), await shop.customer(None)
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        await opened(shop, other.id, flow_data=flow("subscription_cancel", subscription.id))
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await opened(shop, str(subscription.customer), flow_data=flow("subscription_cancel"))
    assert refused.value.param == "flow_data[subscription_cancel]"


async def test_what_is_cancelled_already_cannot_be_cancelled_by_a_flow(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    subscription = await shop.subscription(cancel_at_period_end=True)
    flow_data = flow("subscription_cancel", subscription.id)
    with pytest.raises(stripe.InvalidRequestError, match="already set to be canceled"):
        await opened(shop, str(subscription.customer), flow_data=flow_data)
    await sdk.v1.subscriptions.cancel_async(subscription.id)
    with pytest.raises(stripe.InvalidRequestError, match="its status is canceled"):
        await opened(shop, str(subscription.customer), flow_data=flow_data)


async def test_a_flow_needs_its_feature(shop: Shop, sdk: stripe.StripeClient) -> None:
    made = await sdk.v1.billing_portal.configurations.create_async({"features": FEATURES})
    customer = (await shop.customer(None)).id
    with pytest.raises(stripe.InvalidRequestError, match="disabled"):
        await opened(shop, customer, configuration=made.id, flow_data=flow("payment_method_update"))


async def test_a_change_is_only_to_a_price_that_the_configuration_names(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    subscription = await shop.subscription()
    item = subscription["items"].data[0]
    named, other = await shop.price(1999), await shop.price(2999)
    update = {"enabled": True, "default_allowed_updates": ["price"]}
    products = [{"product": str(named.product), "prices": [named.id]}]
    features: Any = {"subscription_update": update | {"products": products}}
    made = await sdk.v1.billing_portal.configurations.create_async({"features": features})

    async def to(price: str) -> stripe.billing_portal.Session:
        flow_data = flow(
            "subscription_update_confirm", subscription.id, items=[{"id": item.id, "price": price}]
        )
        return await opened(shop, str(subscription.customer), configuration=made.id, flow_data=flow_data)

    assert (await to(named.id)).flow is not None
    with pytest.raises(stripe.InvalidRequestError, match="not among those"):
        await to(other.id)
