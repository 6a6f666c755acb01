"""Checkout's page, clicked through: what is bought is the same as what the API makes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe
from clicking import Browser
from stripe_shop import Shop, World

from mainstem.sandbox.stand_ins.faults import Fault, Kind

DECLINED, LATE_FAILURE = "4000000000000002", "4000000000000341"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as browser:
        yield browser


async def reread(shop: Shop, session: stripe.checkout.Session) -> stripe.checkout.Session:
    return await shop.sdk.v1.checkout.sessions.retrieve_async(session.id)


async def bought(shop: Shop, session: stripe.checkout.Session) -> stripe.Subscription:
    found = (await reread(shop, session)).subscription
    return await shop.sdk.v1.subscriptions.retrieve_async(str(found))


async def test_the_page_says_what_it_costs_and_every_input_has_a_label(shop: Shop, browser: Browser) -> None:
    await browser.open((await shop.checkout()).url)
    assert browser.status == 200
    assert browser.page.headings == ["Subscribe to VPN"]
    assert "9.99 USD every month" in browser.html
    assert browser.page.texts["due-today"] == "9.99 USD"
    assert {"email", "card-number"} <= browser.page.inputs <= browser.page.labelled
    assert "<script" not in browser.html


async def test_paying_makes_a_customer_a_card_and_a_subscription_and_leads_back(
    shop: Shop, sdk: stripe.StripeClient, browser: Browser
) -> None:
    session = await shop.checkout(
        client_reference_id="me", subscription_data={"metadata": {"account": "a-1"}}
    )
    await browser.open(session.url)
    await browser.click("pay", email="ada@example.com", name="Ada")
    assert browser.left_to == f"http://127.0.0.1:9/back?session={session.id}"
    done = await reread(shop, session)
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    subscription = await bought(shop, session)
    assert (subscription.status, subscription.customer) == ("active", done.customer)
    assert subscription.latest_invoice == done.invoice
    assert subscription.metadata.to_dict() == {"account": "a-1"}
    customer = await sdk.v1.customers.retrieve_async(str(done.customer))
    assert (customer.email, customer.name) == ("ada@example.com", "Ada")
    (method,) = (await sdk.v1.payment_methods.list_async({"customer": customer.id})).data
    assert subscription.default_payment_method == method.id
    assert method.billing_details.name == "Ada"


async def test_a_purchase_is_told_in_stripes_order(shop: Shop, browser: Browser) -> None:
    session = await shop.checkout()
    before = len(await shop.types())
    await browser.open(session.url)
    await browser.click("pay", email="ada@example.com")
    events = (await shop.events())[before:]
    assert [event.type for event in events] == [
        "customer.created",
        "payment_method.attached",
        "customer.updated",
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_succeeded",
        "checkout.session.completed",
    ]
    assert events[-1].data.object["subscription"] == events[3].data.object["id"]
    assert events[-1].data.object["client_reference_id"] is None
    assert {event.request.id for event in events if event.request is not None} == {None}


async def test_a_customer_that_is_named_buys_for_itself(
    shop: Shop, sdk: stripe.StripeClient, browser: Browser
) -> None:
    customer = await shop.customer(None)
    session = await shop.checkout(customer=customer.id)
    await browser.open(session.url)
    assert browser.page.texts["email"] == "ada@example.com"
    await browser.click("pay")
    assert (await bought(shop, session)).customer == customer.id
    assert len((await sdk.v1.customers.list_async()).data) == 1


@pytest.mark.parametrize("number", [DECLINED, LATE_FAILURE, "4000000000009995", "1234"])
async def test_a_refused_card_changes_nothing_and_another_one_pays(
    shop: Shop, browser: Browser, number: str
) -> None:
    session = await shop.checkout()
    before = await shop.types()
    await browser.open(session.url)
    await browser.click("pay", email="ada@example.com", number=number)
    assert browser.status in (400, 402)
    assert "card" in browser.page.texts["message"]
    assert await shop.types() == before
    assert (await reread(shop, session)).status == "open"
    await browser.click("pay", number="4242424242424242")
    assert (await reread(shop, session)).status == "complete"


async def test_the_button_of_a_declined_card_declines(shop: Shop, browser: Browser) -> None:
    await browser.open((await shop.checkout()).url)
    await browser.click("pay-declined", email="ada@example.com")
    assert (browser.status, browser.page.texts["message"]) == (402, "Your card was declined.")


async def test_without_an_address_nothing_is_bought(shop: Shop, browser: Browser) -> None:
    session = await shop.checkout()
    await browser.open(session.url)
    await browser.click("pay")
    assert browser.page.texts["message"] == "Your email address is missing."
    assert (await reread(shop, session)).status == "open"


async def test_paying_twice_changes_nothing(shop: Shop, browser: Browser) -> None:
    session = await shop.checkout()
    await browser.open(session.url)
    await browser.click("pay", email="ada@example.com")
    before = await shop.types()
    await browser.click("pay", email="ada@example.com")
    assert (browser.status, await shop.types()) == (409, before)
    assert browser.page.texts["message"] == "This has been bought already. Now nothing was changed."
    assert browser.page.links["continue"] == browser.left_to
    await browser.open(session.url)
    assert (browser.status, browser.page.forms) == (200, [])


async def test_after_its_expiry_a_session_sells_nothing(world: World, shop: Shop, browser: Browser) -> None:
    session = await shop.checkout()
    await browser.open(session.url)
    await world.move_to(session.expires_at)
    before = await shop.types()
    await browser.click("pay", email="ada@example.com")
    assert (browser.status, browser.left_to, await shop.types()) == (410, None, before)
    await browser.open(session.url)
    assert browser.status == 410
    assert browser.page.links == {"cancel": "http://127.0.0.1:9/away"}


async def test_cancelling_leads_away_and_leaves_the_session_open(shop: Shop, browser: Browser) -> None:
    session = await shop.checkout()
    await browser.open(session.url)
    assert browser.page.links["cancel"] == session.cancel_url
    assert (await reread(shop, session)).status == "open"


async def later(shop: Shop, browser: Browser) -> stripe.checkout.Session:
    session = await shop.checkout()
    await browser.open(session.url)
    await browser.click("pay-later", email="ada@example.com")
    assert browser.left_to == f"http://127.0.0.1:9/back?session={session.id}"
    done = await reread(shop, session)
    assert (done.status, done.payment_status) == ("complete", "unpaid")
    assert (await bought(shop, session)).status == "incomplete"
    await browser.open(session.url)
    return session


async def test_a_payment_that_comes_later_activates_the_subscription(shop: Shop, browser: Browser) -> None:
    session = await later(shop, browser)
    await browser.click("payment-succeed")
    assert (browser.status, browser.page.forms) == (200, [])
    assert (await reread(shop, session)).payment_status == "paid"
    assert (await bought(shop, session)).status == "active"
    assert (await shop.types())[-4:] == [
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
        "checkout.session.async_payment_succeeded",
    ]


async def test_a_payment_that_fails_later_leaves_the_subscription_incomplete(
    world: World, shop: Shop, browser: Browser
) -> None:
    session = await later(shop, browser)
    await browser.click("payment-fail")
    assert (await reread(shop, session)).payment_status == "unpaid"
    assert (await shop.types())[-2:] == ["invoice.payment_failed", "checkout.session.async_payment_failed"]
    assert browser.page.texts["message"] == "The payment has failed."
    assert browser.page.forms == []
    await world.move_to(world.now + 86_400)
    assert (await bought(shop, session)).status == "incomplete_expired"


async def test_a_payment_that_fails_late_cannot_arrive_any_more(shop: Shop, browser: Browser) -> None:
    await later(shop, browser)
    page = browser.page
    await browser.click("payment-fail")
    before = await shop.types()
    browser.page = page
    await browser.click("payment-succeed")
    assert (browser.status, await shop.types()) == (409, before)


async def test_a_trial_is_due_later_and_takes_a_card(shop: Shop, browser: Browser) -> None:
    data: Any = {"trial_period_days": 14}
    session = await shop.checkout(subscription_data=data)
    await browser.open(session.url)
    assert browser.page.texts["due-today"] == "0.00 USD"
    await browser.click("pay", email="ada@example.com", number=LATE_FAILURE)
    subscription = await bought(shop, session)
    assert subscription.status == "trialing"
    assert subscription.trial_end == subscription.created + 14 * 86_400
    assert subscription.default_payment_method is not None
    assert (await reread(shop, session)).payment_status == "no_payment_required"


async def test_a_trial_takes_no_card_where_none_is_required(shop: Shop, browser: Browser) -> None:
    session = await shop.checkout(
        payment_method_collection="if_required", subscription_data={"trial_period_days": 14}
    )
    await browser.open(session.url)
    assert "card-number" not in browser.page.inputs
    await browser.click("pay", email="ada@example.com")
    subscription = await bought(shop, session)
    assert (subscription.status, subscription.default_payment_method) == ("trialing", None)


async def test_what_others_wrote_is_shown_as_text(shop: Shop, browser: Browser) -> None:
    price = await shop.price(product_data={"name": "<script>alert(1)</script>"})
    await browser.open((await shop.checkout(price.id)).url)
    assert "<script>" not in browser.html
    assert browser.page.headings == ["Subscribe to <script>alert(1)</script>"]


async def test_a_page_of_nothing_is_said_to_be_so(world: World, browser: Browser) -> None:
    await browser.open(f"{world.url}/stripe/_pages/checkout/cs_none")
    assert (browser.status, browser.page.headings) == (404, ["There is nothing here"])


async def test_a_fault_befalls_a_page_too(world: World, shop: Shop, browser: Browser) -> None:
    session = await shop.checkout()
    await browser.open(session.url)
    world.faults.add(Fault(target="stripe", kind=Kind.REPLACE_ANSWER, path="^/_pages/", status=503))
    await browser.click("pay", email="ada@example.com")
    assert (browser.status, (await reread(shop, session)).status) == (503, "complete")
