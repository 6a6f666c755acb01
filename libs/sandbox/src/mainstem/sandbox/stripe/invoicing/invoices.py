"""Invoices from draft to paid, uncollectible or void; the caller that drafts one records its event."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mainstem.sandbox.stripe.goods.periods import Period
from mainstem.sandbox.stripe.goods.pricing import price_details
from mainstem.sandbox.stripe.invoicing import payments
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire.errors import StripeError

SENT = "send_invoice"
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Line:
    """Content of one line of an invoice."""

    price: Json | None
    quantity: int
    amount: int
    period: Period
    description: str | None
    metadata: dict[str, str]
    subscription: str | None = None
    subscription_item: str | None = None
    invoice_item: str | None = None
    proration: bool = False


def draft(
    account: StripeAccount, customer: Json, currency: str, reason: str, *, subscription: Json | None = None
) -> Json:
    """Return a new draft without lines; nothing is told yet."""
    invoice = account.new(
        "invoice",
        account_country="US",
        auto_advance=subscription is not None,
        billing_reason=reason,
        collection_method="charge_automatically",
        currency=currency,
        customer=customer["id"],
        customer_address=customer["address"],
        customer_email=customer["email"],
        customer_name=customer["name"],
        customer_phone=customer["phone"],
        customer_shipping=customer["shipping"],
        customer_tax_exempt=customer["tax_exempt"],
        issuer={"type": "self"},
        lines=[],
        parent=None,
        period_end=account.now,
        period_start=account.now,
        starting_balance=customer["balance"],
        status="draft",
        _is_late=False,
        _payment=None,
        _tries=0,
        _uncollectible_reason=None,
    )
    if subscription is not None:
        _belong(invoice, subscription)
    return invoice


def _belong(invoice: Json, subscription: Json) -> None:
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    invoice["parent"] = {
        "quote_details": None,
        "subscription_details": details,
        "type": "subscription_details",
    }
    invoice["subscription"] = subscription["id"]
    invoice["subscription_details"] = {"metadata": details["metadata"]}
    if subscription["collection_method"] == SENT:
        fall_due(invoice, subscription["days_until_due"])


def fall_due(invoice: Json, days: int) -> None:
    """Make a draft one that is sent to the customer, and due some days after its creation."""
    invoice |= {"collection_method": SENT, "due_date": invoice["created"] + days * _SECONDS_A_DAY}


def days_until_due(wanted: dict[str, Any], *, or_else: str | None = None) -> int | None:
    """Return how many days a customer has to pay what is sent; None if that is not said in days.

    Raises:
        StripeError: nothing is sent, or it is sent and has no due date.
    """
    is_sent = wanted.get("collection_method") == SENT
    days: int | None = wanted.get("days_until_due")
    if not is_sent and (days is not None or or_else in wanted):
        raise StripeError(
            "`days_until_due` and `due_date` are for `collection_method=send_invoice` only.",
            param="days_until_due",
        )
    if is_sent and days is None and or_else not in wanted:
        raise StripeError("You must pass `days_until_due` to send invoices.", param="days_until_due")
    return days


def add_lines(account: StripeAccount, invoice: Json, lines: Iterable[Line]) -> None:
    """Add lines to a draft and reckon its amounts anew."""
    invoice["lines"] += [_new_line(account, invoice, line)["id"] for line in lines]
    total = sum(account.store.get("line_item", given)["amount"] for given in invoice["lines"])
    due = max(0, total + invoice["starting_balance"])
    for name in ("subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"):
        invoice[name] = total
    invoice |= {"amount_due": due, "amount_remaining": due}


def _new_line(account: StripeAccount, invoice: Json, line: Line) -> Json:
    price = line.price
    return account.new(
        "line_item",
        amount=line.amount,
        amount_excluding_tax=line.amount,
        currency=invoice["currency"],
        description=line.description,
        discountable=not line.proration,
        invoice=invoice["id"],
        invoice_item=line.invoice_item,
        metadata=dict(line.metadata),
        parent=_parent(line),
        period={"end": line.period.end, "start": line.period.start},
        price=None if price is None else price["id"],
        pricing=price_details(price),
        proration=line.proration,
        proration_details={"credited_items": None},
        quantity=line.quantity,
        quantity_decimal=str(line.quantity),
        subscription=line.subscription,
        subscription_item=line.subscription_item,
        subtotal=line.amount,
        type="subscription" if line.invoice_item is None else "invoiceitem",
        unit_amount_excluding_tax=None if price is None else price["unit_amount_decimal"],
    )


def _parent(line: Line) -> Json:
    details = {
        "invoice_item": line.invoice_item,
        "proration": line.proration,
        "proration_details": {"credited_items": None},
        "subscription": line.subscription,
    }
    empty = {"invoice_item_details": None, "subscription_item_details": None}
    if line.subscription_item is None:
        return {**empty, "invoice_item_details": details, "type": "invoice_item_details"}
    details["subscription_item"] = line.subscription_item
    return {**empty, "subscription_item_details": details, "type": "subscription_item_details"}


def finalize(account: StripeAccount, invoice: Json) -> None:
    """Make a draft an open invoice with a number; what the customer has to its credit is used.

    Raises:
        StripeError: it is no draft.
    """
    _require(invoice, "draft", doing="finalized")
    customer = account.store.get("customer", invoice["customer"])
    sequence = customer["next_invoice_sequence"]
    rest = min(0, invoice["total"] + invoice["starting_balance"])
    invoice |= {
        "effective_at": account.now,
        "ending_balance": rest,
        "number": f"{customer['invoice_prefix']}-{sequence:04}",
        "status": "open",
    }
    invoice["status_transitions"]["finalized_at"] = account.now
    payments.begin(account, invoice)
    account.record("invoice.finalized", invoice)
    with account.changing(customer, "customer.updated"):
        customer["balance"] = rest
    customer["next_invoice_sequence"] = sequence + 1


def void(account: StripeAccount, invoice: Json) -> None:
    """Make an open invoice as if it had never been.

    Raises:
        StripeError: it is neither open nor uncollectible.
    """
    _require(invoice, "open", "uncollectible", doing="voided")
    payments.cancel(account, invoice)
    _close(account, invoice, "void", "voided_at", "invoice.voided")


def give_up(account: StripeAccount, invoice: Json, reason: str) -> None:
    """Mark an open invoice as uncollectible, for a reason that Stripe names.

    https://docs.stripe.com/changelog/endive/2026-09-30/invoice-uncollectible-status-detail

    Raises:
        StripeError: it is not open.
    """
    _require(invoice, "open", doing="marked as uncollectible")
    invoice["_uncollectible_reason"] = reason
    _close(account, invoice, "uncollectible", "marked_uncollectible_at", "invoice.marked_uncollectible")


def _close(account: StripeAccount, invoice: Json, status: str, transition: str, happened: str) -> None:
    invoice |= {"auto_advance": False, "next_payment_attempt": None, "status": status}
    invoice["status_transitions"][transition] = account.now
    account.record(happened, invoice)


def require_payable(invoice: Json) -> None:
    """Check that an invoice can be paid.

    Raises:
        StripeError: it is paid, void or a draft.
    """
    if invoice["status"] == "paid":
        raise StripeError("Invoice is already paid", code="invoice_already_paid")
    _require(invoice, "open", "uncollectible", doing="paid")


def _require(invoice: Json, *statuses: Any, doing: str) -> None:
    if invoice["status"] not in statuses:
        raise StripeError(
            f"This invoice cannot be {doing}: its status is {invoice['status']}.",
            code="invoice_not_editable" if invoice["status"] != "draft" else None,
        )
