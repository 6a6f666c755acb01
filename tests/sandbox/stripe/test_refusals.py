"""Refusals that billing depends on, in Stripe's words, and metered prices, which make most of them."""

from typing import Any

import pytest
import stripe
from stripe_shop import Shop, World

METERED: Any = {"interval": "month", "usage_type": "metered"}


async def refusal(asked: Any) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await asked
    return refused.value


async def test_metered_price_is_sold_without_a_quantity_and_costs_nothing_at_first(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    price = await shop.price(recurring=METERED)
    session = await shop.checkout(price.id, line_items=[{"price": price.id}])
    assert session.amount_total == 0
    subscription = await shop.subscription(price=price.id)
    (item,) = subscription["items"].data
    assert (item.quantity, item.price.recurring.usage_type) == (None, "metered")
    invoice = await sdk.v1.invoices.retrieve_async(str(subscription.latest_invoice))
    assert (subscription.status, invoice.total) == ("active", 0)


async def test_quantity_must_fit_the_price(shop: Shop, sdk: stripe.StripeClient) -> None:
    metered, licensed = await shop.price(recurring=METERED), await shop.price()
    line: Any = [{"price": metered.id, "quantity": 1}]
    error = await refusal(shop.checkout(metered.id, line_items=line))
    assert (error.code, error.param) == (None, "line_items[0][quantity]")
    assert str(error.user_message).startswith(
        "Quantity should not be specified where usage_type is `metered`."
    )
    error = await refusal(shop.checkout(licensed.id, line_items=[{"price": licensed.id}]))
    assert error.user_message == "Quantity is required. Add `quantity` to `line_items[0]`"
    error = await refusal(shop.subscription(items=line))
    assert error.user_message == "You cannot set the quantity for metered plans."
    subscription = await shop.subscription(price=metered.id)
    item = subscription["items"].data[0].id
    error = await refusal(sdk.v1.subscription_items.update_async(item, {"quantity": 2}))
    assert error.user_message == "You cannot set the quantity for metered plans."


async def test_archived_price_and_archived_product_are_refused_in_words_of_their_own(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    price = await shop.price()
    await sdk.v1.products.update_async(str(price.product), {"active": False})
    error = await refusal(shop.checkout(price.id))
    assert error.param == "line_items[0][price]"
    assert str(error.user_message).endswith("because its product is not active.")
    await sdk.v1.prices.update_async(price.id, {"active": False})
    assert "price specified is inactive" in str((await refusal(shop.checkout(price.id))).user_message)


async def test_customer_cannot_mix_currencies(shop: Shop, sdk: stripe.StripeClient) -> None:
    euros = await shop.price(currency="eur")
    customer = (await shop.subscription()).customer
    for asked in (
        shop.checkout(euros.id, customer=customer),
        shop.subscription(customer=customer, price=euros.id),
    ):
        message = str((await refusal(asked)).user_message)
        assert message.startswith("You cannot combine currencies on a single customer.")
        assert message.endswith("with currency usd.")
    for one in (await sdk.v1.subscriptions.list_async()).data:
        await sdk.v1.subscriptions.cancel_async(one.id)
    assert await shop.checkout(euros.id, customer=customer)


async def test_each_parameter_unsets_the_end_that_it_set_and_both_are_refused(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    update = sdk.v1.subscriptions.update_async
    subscription = (await shop.subscription()).id
    both: Any = {"cancel_at_period_end": False, "cancel_at": ""}
    assert "You may only specify one of these parameters" in str(await refusal(update(subscription, both)))
    going = await update(subscription, {"cancel_at": "max_period_end"})
    assert (going.cancel_at is None, going.cancel_at_period_end) == (False, False)
    assert (await update(subscription, {"cancel_at_period_end": False})).cancel_at == going.cancel_at
    assert (await update(subscription, {"cancel_at": ""})).cancel_at is None
    await update(subscription, {"cancel_at_period_end": True})
    assert (await update(subscription, {"cancel_at": ""})).cancel_at_period_end is True
    assert (await update(subscription, {"cancel_at_period_end": False})).cancel_at is None


async def test_schedule_alone_changes_the_end_of_its_subscription(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    subscription = await shop.subscription()
    schedule = await sdk.v1.subscription_schedules.create_async({"from_subscription": subscription.id})
    await sdk.v1.subscription_schedules.update_async(schedule.id, {"end_behavior": "cancel"})
    ending = await sdk.v1.subscriptions.retrieve_async(subscription.id)
    assert (ending.schedule, ending.cancel_at is None) == (schedule.id, False)
    for changes in ({"cancel_at": ""}, {"cancel_at_period_end": False}, {"cancel_at_period_end": True}):
        error = await refusal(sdk.v1.subscriptions.update_async(subscription.id, changes))  # type: ignore[arg-type]  # each is one
        assert f"managed by the subscription schedule `{schedule.id}`" in str(error.user_message)
    await sdk.v1.subscription_schedules.release_async(schedule.id)
    free = await sdk.v1.subscriptions.retrieve_async(subscription.id)
    assert (free.schedule, free.cancel_at) == (None, None)


async def test_portal_without_saved_settings_is_refused(
    world: World, shop: Shop, sdk: stripe.StripeClient
) -> None:
    world.stand_in.account.has_portal = False
    customer = (await shop.customer(None)).id
    error = await refusal(sdk.v1.billing_portal.sessions.create_async({"customer": customer}))
    assert "default configuration has not been created" in str(error.user_message)
    configuration = await sdk.v1.billing_portal.configurations.create_async(
        {"features": {"invoice_history": {"enabled": True}}}
    )
    named: Any = {"customer": customer, "configuration": configuration.id}
    assert await sdk.v1.billing_portal.sessions.create_async(named)


async def test_billing_mode_is_flexible_unless_classic_is_wanted(shop: Shop) -> None:
    classic = await shop.subscription(billing_mode={"type": "classic"})
    assert ((await shop.subscription()).billing_mode.type, classic.billing_mode.type) == (
        "flexible",
        "classic",
    )
