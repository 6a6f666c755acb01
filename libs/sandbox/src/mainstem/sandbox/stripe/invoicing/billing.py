"""Charges of a subscription: its items for a period, and its customer's pending invoice items."""

from mainstem.sandbox.stripe.goods.periods import Period
from mainstem.sandbox.stripe.goods.pricing import amount_of
from mainstem.sandbox.stripe.invoicing import invoices
from mainstem.sandbox.stripe.invoicing.invoices import Line
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.compose import items_of
from mainstem.sandbox.stripe.state.store import Json


def pending_items(
    account: StripeAccount, customer: str, subscription: str | None, currency: str
) -> list[Json]:
    """Return the invoice items that the next invoice of this subscription (None: of none) takes up."""
    mine = (None, subscription)
    return account.store.select(
        "invoiceitem",
        lambda item: (
            item["invoice"] is None
            and item["customer"] == customer
            and item["subscription"] in mine
            and item["currency"] == currency
        ),
    )


def draft(account: StripeAccount, subscription: Json, reason: str, *, period: Period) -> Json:
    """Return a draft of what is pending and of the items for a period, the subscription's latest invoice.

    Nothing is told yet.
    """
    invoice = _draft(account, subscription, reason)
    is_trial = subscription["status"] == "trialing"
    lines = [
        _line(account, subscription, item, period, free=is_trial)
        for item in items_of(account.store, subscription)
    ]
    invoices.add_lines(account, invoice, lines)
    return invoice


def draft_pending(account: StripeAccount, subscription: Json, reason: str) -> Json | None:
    """Return a draft of what is pending alone, the subscription's latest invoice; None if nothing is."""
    customer, currency = subscription["customer"], subscription["currency"]
    if not pending_items(account, customer, subscription["id"], currency):
        return None
    return _draft(account, subscription, reason)


def _draft(account: StripeAccount, subscription: Json, reason: str) -> Json:
    customer = account.store.get("customer", subscription["customer"])
    invoice = invoices.draft(account, customer, subscription["currency"], reason, subscription=subscription)
    take_pending(account, invoice, subscription["id"])
    subscription["latest_invoice"] = invoice["id"]
    return invoice


def take_pending(account: StripeAccount, invoice: Json, subscription: str | None) -> None:
    """Move what is pending for the customer to a draft."""
    for item in pending_items(account, invoice["customer"], subscription, invoice["currency"]):
        take_item(account, invoice, item)


def take_item(account: StripeAccount, invoice: Json, item: Json) -> None:
    """Move one pending item to a draft."""
    invoices.add_lines(account, invoice, [_pending_line(account, item)])
    # Stripe has no event for this.
    item["invoice"] = invoice["id"]


def _pending_line(account: StripeAccount, item: Json) -> Line:
    return Line(
        price=account.store.find("price", item["price"]),
        quantity=item["quantity"],
        amount=item["amount"],
        period=Period(item["period"]["start"], item["period"]["end"]),
        description=item["description"],
        metadata=item["metadata"],
        subscription=item["subscription"],
        subscription_item=item["subscription_item"],
        invoice_item=item["id"],
        proration=item["proration"],
    )


def _line(account: StripeAccount, subscription: Json, item: Json, period: Period, *, free: bool) -> Line:
    price = account.store.get("price", item["price"])
    product = account.store.find("product", price["product"])
    name = product["name"] if product else price["id"]
    return Line(
        price=price,
        # Usage is charged after its period, and the sandbox has no meters: there is none yet.
        quantity=item["quantity"] or 0,
        amount=0 if free else amount_of(price, item["quantity"]),
        period=period,
        description=f"Trial period for {name}" if free else f"{item['quantity'] or 0} x {name}",
        metadata=subscription["metadata"],
        subscription=subscription["id"],
        subscription_item=item["id"],
    )
