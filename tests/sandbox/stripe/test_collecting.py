"""Collection of invoices: sent ones, paused collection, and the payments behind an invoice."""

from typing import Any

import pytest
import stripe
from clicking import Browser
from stripe_shop import Shop, World

DAY = 86_400
MONTH = 31 * DAY


async def bill(shop: Shop, **more: Any) -> stripe.Invoice:
    customer = await shop.customer()
    item: Any = {"customer": customer.id, "amount": 700, "currency": "usd"}
    await shop.sdk.v1.invoice_items.create_async(item)
    params: Any = {"customer": customer.id, "pending_invoice_items_behavior": "include", **more}
    return await shop.sdk.v1.invoices.create_async(params)


async def intents(shop: Shop, invoice: str) -> list[tuple[str, str]]:
    """Return the statuses of an invoice's payments and of their intents."""
    params: Any = {"invoice": invoice, "expand": ["data.payment.payment_intent"]}
    found = await shop.sdk.v1.invoice_payments.list_async(params)
    both = []
    for payment in found.data:
        intent = payment.payment.payment_intent
        assert isinstance(intent, stripe.PaymentIntent)
        both.append((payment.status, intent.status))
    return both


async def test_sent_invoice_is_due_days_after_its_creation_and_is_not_charged(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    draft = await bill(shop, collection_method="send_invoice", days_until_due=3)
    assert (draft.collection_method, draft.due_date) == ("send_invoice", draft.created + 3 * DAY)
    sent = await sdk.v1.invoices.send_invoice_async(draft.id)
    assert (sent.status, sent.attempted, sent.attempt_count) == ("open", False, 0)
    assert (await shop.types(type="invoice*"))[-1] == "invoice.sent"


async def test_sent_invoice_takes_a_due_date_of_its_own(shop: Shop, world: World) -> None:
    due = world.now + DAY
    draft = await bill(shop, collection_method="send_invoice", due_date=due)
    assert draft.due_date == due


@pytest.mark.parametrize(
    "wrong", [{"collection_method": "send_invoice"}, {"days_until_due": 3}, {"due_date": 9}]
)
async def test_due_date_belongs_to_sent_invoices(shop: Shop, wrong: dict[str, Any]) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="days_until_due"):
        await bill(shop, **wrong)


async def test_sent_subscription_is_active_at_once_and_past_due_after_its_due_date(
    shop: Shop, sdk: stripe.StripeClient, world: World
) -> None:
    made = await shop.subscription(card=None, collection_method="send_invoice", days_until_due=5)
    assert (made.status, made.days_until_due) == ("active", 5)
    invoice = await sdk.v1.invoices.retrieve_async(str(made.latest_invoice))
    assert (invoice.status, invoice.attempt_count) == ("open", 0)
    await world.move_to(world.now + 5 * DAY - 60)
    assert (await sdk.v1.subscriptions.retrieve_async(made.id)).status == "active"
    await world.move_to(world.now + 61)
    assert (await sdk.v1.subscriptions.retrieve_async(made.id)).status == "past_due"
    await sdk.v1.invoices.pay_async(invoice.id, {"paid_out_of_band": True})
    assert (await sdk.v1.subscriptions.retrieve_async(made.id)).status == "active"


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("keep_as_draft", "draft"), ("mark_uncollectible", "uncollectible"), ("void", "void")],
)
async def test_paused_collection_attempts_nothing_and_leaves_the_subscription_active(
    shop: Shop, sdk: stripe.StripeClient, world: World, behavior: str, status: str
) -> None:
    made = await shop.subscription()
    params: Any = {"pause_collection": {"behavior": behavior}}
    paused = await sdk.v1.subscriptions.update_async(made.id, params)
    assert paused.pause_collection is not None
    assert (paused.pause_collection.behavior, paused.pause_collection.resumes_at) == (behavior, None)
    await world.move_to(world.now + MONTH)
    found = await sdk.v1.subscriptions.retrieve_async(made.id, {"expand": ["latest_invoice"]})
    invoice = found.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert (found.status, invoice.status, invoice.attempt_count) == ("active", status, 0)
    assert (invoice.auto_advance, invoice.billing_reason) == (False, "subscription_cycle")


async def test_paused_collection_resumes_by_request_or_at_its_instant(
    shop: Shop, sdk: stripe.StripeClient, world: World
) -> None:
    made = await shop.subscription()
    params: Any = {"pause_collection": {"behavior": "void", "resumes_at": world.now + DAY}}
    await sdk.v1.subscriptions.update_async(made.id, params)
    await world.move_to(world.now + 2 * DAY)
    assert (await sdk.v1.subscriptions.retrieve_async(made.id)).pause_collection is None
    params["pause_collection"].pop("resumes_at")
    await sdk.v1.subscriptions.update_async(made.id, params)
    resumed = await sdk.v1.subscriptions.update_async(made.id, {"pause_collection": ""})
    assert resumed.pause_collection is None
    await world.move_to(world.now + MONTH)
    invoice = str((await sdk.v1.subscriptions.retrieve_async(made.id)).latest_invoice)
    assert (await sdk.v1.invoices.retrieve_async(invoice)).status == "paid"


async def test_uncollectible_invoice_says_why_since_endive(shop: Shop, sdk: stripe.StripeClient) -> None:
    draft = await bill(shop)
    final = await sdk.v1.invoices.finalize_invoice_async(draft.id)
    assert "status_details" not in final
    given_up = (await sdk.v1.invoices.mark_uncollectible_async(draft.id)).to_dict()
    assert given_up["status_details"] == {"uncollectible": {"reason": "user_forgiven"}}
    before = shop.world.client("2025-02-24.acacia")
    assert "status_details" not in await before.v1.invoices.retrieve_async(draft.id)


async def test_intent_of_an_invoice_follows_its_payment(shop: Shop, sdk: stripe.StripeClient) -> None:
    draft = await bill(shop)
    assert await intents(shop, draft.id) == []
    await sdk.v1.invoices.finalize_invoice_async(draft.id)
    assert await intents(shop, draft.id) == [("open", "requires_payment_method")]
    bad = await shop.pay_with(str(draft.customer), "pm_card_chargeCustomerFail")
    with pytest.raises(stripe.CardError):
        await sdk.v1.invoices.pay_async(draft.id, {"payment_method": bad.id})
    assert await intents(shop, draft.id) == [("open", "requires_payment_method")]
    (payment,) = (await sdk.v1.invoice_payments.list_async({"invoice": draft.id})).data
    intent = await sdk.v1.payment_intents.retrieve_async(str(payment.payment.payment_intent))
    assert intent.last_payment_error is not None
    assert intent.last_payment_error.code == "card_declined"
    good = await shop.pay_with(str(draft.customer), "pm_card_visa")
    await sdk.v1.invoices.pay_async(draft.id, {"payment_method": good.id})
    assert await intents(shop, draft.id) == [("paid", "succeeded")]


async def test_intent_of_a_void_invoice_is_cancelled(shop: Shop, sdk: stripe.StripeClient) -> None:
    draft = await bill(shop)
    await sdk.v1.invoices.finalize_invoice_async(draft.id)
    await sdk.v1.invoices.void_invoice_async(draft.id)
    assert await intents(shop, draft.id) == [("canceled", "canceled")]


@pytest.mark.parametrize(
    ("button", "expected"),
    [(None, "processing"), ("payment-fail", "requires_payment_method"), ("payment-succeed", "succeeded")],
)
async def test_only_the_intent_tells_a_failed_bank_debit_from_one_under_way(
    shop: Shop, sdk: stripe.StripeClient, button: str | None, expected: str
) -> None:
    session = await shop.checkout(customer=(await shop.customer(None)).id)
    async with Browser() as browser:
        await browser.open(session.url)
        await browser.click("pay-later")
        if button is not None:
            await browser.open(session.url)
            await browser.click(button)
    params: Any = {"expand": ["subscription", "invoice.payments"]}
    found = (await sdk.v1.checkout.sessions.retrieve_async(session.id, params)).to_dict()
    assert len(found["invoice"]["payments"]["data"]) == 1
    ((_, intent),) = await intents(shop, found["invoice"]["id"])
    assert intent == expected
    if button != "payment-succeed":
        shown = (found["payment_status"], found["subscription"]["status"], found["invoice"]["status"])
        assert shown == ("unpaid", "incomplete", "open")
