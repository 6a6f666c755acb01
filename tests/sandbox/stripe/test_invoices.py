"""Invoices outside subscriptions, and what the customer has to its credit."""

from typing import Any

import pytest
import stripe
from stripe_shop import Shop


async def _draft(shop: Shop, amount: int = 700, card: str | None = "pm_card_visa") -> stripe.Invoice:
    customer = await shop.customer(card)
    item: Any = {"customer": customer.id, "amount": amount, "currency": "usd", "description": "A seat"}
    await shop.sdk.v1.invoice_items.create_async(item)
    return await shop.sdk.v1.invoices.create_async(
        {"customer": customer.id, "pending_invoice_items_behavior": "include"}
    )


async def test_a_draft_is_finalized_and_paid(shop: Shop, sdk: stripe.StripeClient) -> None:
    draft = await _draft(shop)
    assert (draft.status, draft.total, draft.number) == ("draft", 700, None)
    details = draft.lines.data[0].parent
    assert details is not None
    assert details.type == "invoice_item_details"
    final = await sdk.v1.invoices.finalize_invoice_async(draft.id)
    assert final.status == "open"
    assert final.number is not None
    assert final.number.endswith("-0001")
    paid = await sdk.v1.invoices.pay_async(draft.id)
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 700, 0)
    assert paid.status_transitions.paid_at is not None
    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        await sdk.v1.invoices.pay_async(draft.id)
    assert (await shop.types(type="invoice*"))[-5:] == [
        "invoiceitem.created",
        "invoice.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]


async def test_an_item_can_be_added_to_a_draft_and_a_draft_be_deleted(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    draft = await _draft(shop)
    once: Any = {"currency": "usd", "unit_amount": 250, "product_data": {"name": "Seat"}}
    price = await sdk.v1.prices.create_async(once)
    await sdk.v1.invoice_items.create_async(
        {
            "customer": str(draft.customer),
            "invoice": draft.id,
            "pricing": {"price": price.id},
            "quantity": 2,
        }
    )
    grown = await sdk.v1.invoices.retrieve_async(draft.id)
    assert (grown.total, len(grown.lines.data)) == (1200, 2)
    assert (await sdk.v1.invoices.delete_async(draft.id)).deleted is True
    pending = await sdk.v1.invoice_items.list_async({"pending": True})
    assert len(pending.data) == 2


async def test_an_open_invoice_is_voided_or_given_up(shop: Shop, sdk: stripe.StripeClient) -> None:
    for end, status, event in (
        (sdk.v1.invoices.void_invoice_async, "void", "invoice.voided"),
        (sdk.v1.invoices.mark_uncollectible_async, "uncollectible", "invoice.marked_uncollectible"),
    ):
        draft = await _draft(shop)
        with pytest.raises(stripe.InvalidRequestError, match="its status is draft"):
            await end(draft.id)
        await sdk.v1.invoices.finalize_invoice_async(draft.id)
        assert (await end(draft.id)).status == status
        assert (await shop.types())[-1] == event
    assert (await sdk.v1.invoices.pay_async(draft.id)).status == "paid"


async def test_what_is_credited_is_kept_for_the_next_invoice(shop: Shop, sdk: stripe.StripeClient) -> None:
    credit = await sdk.v1.invoices.finalize_invoice_async((await _draft(shop, -500)).id)
    assert (credit.status, credit.amount_due, credit.ending_balance) == ("paid", 0, -500)
    customer = str(credit.customer)
    assert (await sdk.v1.customers.retrieve_async(customer)).balance == -500
    subscription = await shop.subscription(customer=customer, expand=["latest_invoice"])
    assert isinstance(subscription.latest_invoice, stripe.Invoice)
    assert (subscription.latest_invoice.total, subscription.latest_invoice.amount_paid) == (999, 499)
    assert (await sdk.v1.customers.retrieve_async(customer)).balance == 0


async def test_an_invoice_can_be_paid_out_of_band(shop: Shop, sdk: stripe.StripeClient) -> None:
    draft = await _draft(shop, card=None)
    with pytest.raises(stripe.CardError):
        await sdk.v1.invoices.pay_async(draft.id)
    assert (await sdk.v1.invoices.retrieve_async(draft.id)).status == "open"
    assert (await sdk.v1.invoices.pay_async(draft.id, {"paid_out_of_band": True})).status == "paid"


async def test_filters_find_invoices(shop: Shop, sdk: stripe.StripeClient) -> None:
    subscription, draft = await shop.subscription(), await _draft(shop)
    queries: list[tuple[Any, list[str]]] = [
        ({"status": "draft"}, [draft.id]),
        ({"status": "paid"}, [str(subscription.latest_invoice)]),
        ({"customer": str(draft.customer)}, [draft.id]),
        ({"subscription": subscription.id}, [str(subscription.latest_invoice)]),
    ]
    for query, expected in queries:
        assert [invoice.id for invoice in (await sdk.v1.invoices.list_async(query)).data] == expected
