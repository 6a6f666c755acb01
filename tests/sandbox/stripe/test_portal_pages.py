"""The billing portal, clicked through: what is done there is what the API would have done."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe
from clicking import Browser
from stripe_shop import Shop, World

RETURN = "http://127.0.0.1:9/account"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as browser:
        yield browser


async def visit(shop: Shop, browser: Browser, customer: Any, **more: Any) -> None:
    params: Any = {"customer": str(customer), "return_url": RETURN, **more}
    session = await shop.sdk.v1.billing_portal.sessions.create_async(params)
    await browser.open(session.url)


def cancelling(subscription: str, after: dict[str, Any] | None = None) -> dict[str, Any]:
    flow = {"type": "subscription_cancel", "subscription_cancel": {"subscription": subscription}}
    return flow if after is None else {**flow, "after_completion": after}


async def reread(shop: Shop, subscription: stripe.Subscription) -> stripe.Subscription:
    return await shop.sdk.v1.subscriptions.retrieve_async(subscription.id)


async def test_home_shows_what_the_customer_has_and_nobody_elses(shop: Shop, browser: Browser) -> None:
    mine, other = await shop.subscription(), await shop.subscription()
    await visit(shop, browser, mine.customer)
    assert browser.page.headings == ["Your subscriptions", "VPN", "Payment method", "Invoices"]
    assert browser.page.texts[f"status-{mine.id}"] == "active"
    assert "visa ending in 4242" in browser.page.texts["payment-method"]
    assert "9.99 USD" in browser.page.texts["invoices"]
    assert browser.page.links["return"] == RETURN
    assert other.id not in browser.html
    assert "<script" not in browser.html


@pytest.mark.parametrize("mode", ["flexible", "classic"])
async def test_a_cancellation_takes_effect_at_the_periods_end_and_can_be_taken_back(
    shop: Shop, browser: Browser, mode: str
) -> None:
    subscription = await shop.subscription(billing_mode={"type": mode})
    await visit(shop, browser, subscription.customer)
    await browser.follow(f"cancel-{subscription.id}")
    assert browser.page.inputs <= browser.page.labelled
    before = len(await shop.types())
    await browser.click("confirm-cancel", feedback="unused")
    ending = await reread(shop, subscription)
    assert (ending.status, ending.cancel_at_period_end) == ("active", mode == "classic")
    assert ending.cancel_at == subscription["items"].data[0].current_period_end
    assert ending.cancellation_details is not None
    assert ending.cancellation_details.feedback == "unused"
    assert browser.page.headings[0] == "Your subscriptions"
    assert f"cancel-{subscription.id}" not in browser.page.links
    await browser.click(f"resume-{subscription.id}")
    assert (await reread(shop, subscription)).cancel_at is None
    assert f"cancel-{subscription.id}" in browser.page.links
    assert (await shop.types())[before:] == ["customer.subscription.updated"] * 2


async def test_a_configuration_can_have_it_end_at_once(
    shop: Shop, sdk: stripe.StripeClient, browser: Browser
) -> None:
    features: Any = {"subscription_cancel": {"enabled": True, "mode": "immediately"}}
    made = await sdk.v1.billing_portal.configurations.create_async({"features": features})
    subscription = await shop.subscription()
    await visit(shop, browser, subscription.customer, configuration=made.id)
    assert f"update-{subscription.id}" not in browser.page.links
    await browser.follow(f"cancel-{subscription.id}")
    assert "at once" in browser.page.texts["when"]
    await browser.click("confirm-cancel")
    assert (await reread(shop, subscription)).status == "canceled"
    assert (await shop.types())[-1] == "customer.subscription.deleted"
    assert "no-subscriptions" in browser.page.texts


async def test_what_a_configuration_lacks_is_refused_by_its_address_too(
    shop: Shop, sdk: stripe.StripeClient, browser: Browser
) -> None:
    features: Any = {"subscription_cancel": {"enabled": True}}
    made = await sdk.v1.billing_portal.configurations.create_async({"features": features})
    subscription = await shop.subscription()
    await visit(shop, browser, subscription.customer, configuration=made.id)
    home = browser.url
    for path in ("payment-method", f"subscriptions/{subscription.id}/update"):
        await browser.open(f"{home}/{path}")
        assert browser.status == 403


async def test_anothers_subscription_is_not_found(shop: Shop, browser: Browser) -> None:
    mine, other = await shop.subscription(), await shop.subscription()
    await visit(shop, browser, mine.customer)
    await browser.open(f"{browser.url}/subscriptions/{other.id}/cancel")
    assert browser.status == 404


async def test_a_flow_starts_at_its_page_and_leads_back_when_it_is_done(shop: Shop, browser: Browser) -> None:
    subscription = await shop.subscription()
    after = {"type": "redirect", "redirect": {"return_url": "http://127.0.0.1:9/sorry"}}
    flow = cancelling(subscription.id, after)
    await visit(shop, browser, subscription.customer, flow_data=flow)
    start = browser.url
    assert browser.page.headings == ["Cancel VPN"]
    assert browser.page.links["back"] == RETURN
    await browser.click("confirm-cancel")
    assert browser.left_to == "http://127.0.0.1:9/sorry"
    assert (await reread(shop, subscription)).cancel_at is not None
    await browser.open(start)
    assert browser.page.headings[0] == "Your subscriptions"


async def test_cancelling_twice_changes_nothing(shop: Shop, browser: Browser) -> None:
    subscription = await shop.subscription()
    await visit(shop, browser, subscription.customer)
    await browser.follow(f"cancel-{subscription.id}")
    page, url = browser.page, browser.url
    await browser.click("confirm-cancel")
    before = await shop.types()
    browser.page, browser.url = page, url
    await browser.click("confirm-cancel")
    assert (browser.status, await shop.types()) == (409, before)


async def test_a_flow_can_end_with_a_confirmation(shop: Shop, browser: Browser) -> None:
    subscription = await shop.subscription()
    after = {"type": "hosted_confirmation", "hosted_confirmation": {"custom_message": "Farewell."}}
    flow = cancelling(subscription.id, after)
    await visit(shop, browser, subscription.customer, flow_data=flow)
    await browser.click("confirm-cancel")
    assert browser.page.texts["message"] == "Farewell."
    assert browser.page.links["return"] == RETURN


async def test_a_new_card_pays_from_now_on(
    world: World, shop: Shop, sdk: stripe.StripeClient, browser: Browser
) -> None:
    session = await shop.checkout()
    await browser.open(session.url)
    await browser.click("pay", email="ada@example.com")
    found = (await sdk.v1.checkout.sessions.retrieve_async(session.id)).subscription
    subscription = await sdk.v1.subscriptions.retrieve_async(str(found))
    flow = {"type": "payment_method_update"}
    await visit(shop, browser, subscription.customer, flow_data=flow)
    await browser.click("save-declined")
    assert (browser.status, browser.page.texts["message"]) == (402, "Your card was declined.")
    await browser.click("save-card", number="5555 5555 5555 4444")
    assert "mastercard ending in 4444" in browser.page.texts["payment-method"]
    customer = await sdk.v1.customers.retrieve_async(str(subscription.customer))
    assert customer.invoice_settings is not None
    method = customer.invoice_settings.default_payment_method
    assert (await reread(shop, subscription)).default_payment_method == method
    await world.move_to(subscription["items"].data[0].current_period_end)
    assert (await shop.types()).count("invoice.paid") == 2


async def test_a_plan_is_chosen_confirmed_and_changed(shop: Shop, browser: Browser) -> None:
    subscription = await shop.subscription()
    dear = await shop.price(2999, product_data={"name": "VPN Plus"})
    euros = await shop.price(2999, currency="eur")
    await visit(shop, browser, subscription.customer)
    await browser.follow(f"update-{subscription.id}")
    assert euros.id not in browser.html
    assert dear.id in browser.page.inputs <= browser.page.labelled
    await browser.click("continue", price=dear.id)
    assert browser.page.texts["then"] == "VPN Plus, 29.99 USD every month"
    await browser.click("confirm-update")
    assert (await reread(shop, subscription))["items"].data[0].price.id == dear.id
    assert browser.page.headings[1] == "VPN Plus"


async def test_a_flow_confirms_the_change_that_it_names(shop: Shop, browser: Browser) -> None:
    subscription = await shop.subscription()
    dear = await shop.price(2999)
    item = {"id": subscription["items"].data[0].id, "price": dear.id, "quantity": 3}
    wanted = {"subscription": subscription.id, "items": [item]}
    after = {"type": "redirect", "redirect": {"return_url": RETURN}}
    kind = "subscription_update_confirm"
    flow = {"type": kind, kind: wanted, "after_completion": after}
    await visit(shop, browser, subscription.customer, flow_data=flow)
    assert "89.97 USD" in browser.page.texts["then"]
    await browser.click("confirm-update")
    assert browser.left_to == RETURN
    changed = (await reread(shop, subscription))["items"].data[0]
    assert (changed.price.id, changed.quantity) == (dear.id, 3)


async def test_a_change_of_plan_ends_a_trial(shop: Shop, browser: Browser) -> None:
    subscription = await shop.subscription(trial_period_days=14)
    dear = await shop.price(2999)
    await visit(shop, browser, subscription.customer)
    await browser.follow(f"update-{subscription.id}")
    await browser.click("continue", price=dear.id)
    await browser.click("confirm-update")
    changed = await reread(shop, subscription)
    assert (changed.status, changed["items"].data[0].price.id) == ("active", dear.id)


async def test_a_price_that_is_not_offered_cannot_be_had(
    shop: Shop, sdk: stripe.StripeClient, browser: Browser
) -> None:
    subscription = await shop.subscription()
    dear = await shop.price(2999)
    await visit(shop, browser, subscription.customer)
    await browser.follow(f"update-{subscription.id}")
    await sdk.v1.prices.update_async(dear.id, {"active": False})
    await browser.click("continue", price=dear.id)
    assert (browser.status, browser.page.texts["message"]) == (400, "This price is not offered here.")


async def test_a_link_that_nobody_followed_expires_and_a_visit_keeps_it_open(
    world: World, shop: Shop, browser: Browser
) -> None:
    customer = (await shop.customer(None)).id
    params: Any = {"customer": customer, "return_url": RETURN}
    unused = await shop.sdk.v1.billing_portal.sessions.create_async(params)
    used = await shop.sdk.v1.billing_portal.sessions.create_async(params)
    await browser.open(used.url)
    await world.move_to(world.now + 600)
    await browser.open(used.url)
    assert browser.status == 200
    await browser.open(unused.url)
    assert (browser.status, browser.page.links) == (410, {"return": RETURN})
    await world.move_to(world.now + 3_700)
    await browser.open(used.url)
    assert browser.status == 410
