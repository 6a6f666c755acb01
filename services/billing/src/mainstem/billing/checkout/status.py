"""Checkout status: derived from a session, its subscription, its invoice and its payment intents. Pure."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from mainstem.billing.policies.statuses import OVER


class CheckoutStatus(StrEnum):
    """Progress of a checkout; `pending` and `failed` are complete sessions that are not paid."""

    OPEN = "open"
    EXPIRED = "expired"
    PENDING = "pending"
    """The session is complete, and its payment is processing."""
    FAILED = "failed"
    """The session is complete, and its payment failed."""
    DONE = "done"


IN_VAIN = frozenset({"canceled", "requires_payment_method"})
"""Statuses of a payment intent whose payment is not processing: after a failure it waits for another method.

https://docs.stripe.com/payments/paymentintents/lifecycle
"""


UNDER_WAY = "processing"
"""Status of a payment intent whose payment has begun and not ended; a bank debit keeps it for days."""


def checkout_status(session: Mapping[str, Any], intents: Collection[str] = ()) -> CheckoutStatus:
    """Return the status of a checkout by its session, which has its subscription and invoice inside.

    A bank debit changes neither session nor subscription nor invoice, whether it is processing or has failed.
    Only the payment intents differ; `intents` has their statuses. https://docs.stripe.com/checkout/fulfillment,
    https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses
    """
    if session["status"] != "complete":
        return CheckoutStatus(session["status"])
    subscription, invoice = _status(session, "subscription"), _status(session, "invoice")
    if session.get("payment_status") != "unpaid":
        return CheckoutStatus.PENDING if subscription == "incomplete" else CheckoutStatus.DONE
    if not is_unsettled(session):
        return CheckoutStatus.DONE
    if subscription in OVER:
        # A processing debit goes on after the subscription's end, and pays the invoice unless it is void.
        return CheckoutStatus.PENDING if UNDER_WAY in intents and invoice != "void" else CheckoutStatus.FAILED
    in_vain = invoice == "void" or (len(intents) > 0 and IN_VAIN.issuperset(intents))
    return CheckoutStatus.FAILED if in_vain else CheckoutStatus.PENDING


def intent_status(payment: Mapping[str, Any]) -> str:
    """Return the status of an invoice payment's intent, or the payment's own if it has no intent."""
    intent = payment["payment"].get("payment_intent")
    if payment["status"] == "canceled" or not isinstance(intent, Mapping):
        return str(payment["status"])
    return str(intent["status"])


def is_unpaid(invoice: Mapping[str, Any]) -> bool:
    """Return whether an invoice, with its payments inside, is unpaid and no payment is processing.

    While a bank debit is processing, which takes days, the invoice is open and counts as attempted.
    Source: https://docs.stripe.com/payments/paymentintents/lifecycle
    """
    is_open = invoice["status"] in {"open", "uncollectible"} and invoice["amount_remaining"] > 0
    return is_open and all(intent_status(payment) != UNDER_WAY for payment in invoice["payments"]["data"])


def is_unsettled(session: Mapping[str, Any]) -> bool:
    """Return whether the status of a checkout depends on its payment intents."""
    if session["status"] != "complete" or session.get("payment_status") != "unpaid":
        return False
    subscription, invoice = _status(session, "subscription"), _status(session, "invoice")
    return subscription in {None, "incomplete"} or (subscription in OVER and invoice != "paid")


def _status(session: Mapping[str, Any], name: str) -> str | None:
    inside = session.get(name)
    return inside.get("status") if isinstance(inside, Mapping) else None
