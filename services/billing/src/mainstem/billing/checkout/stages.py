"""Stages of Checkout sessions and of the payments of their invoices; pure."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from mainstem.billing.policies.statuses import OVER


class Stage(StrEnum):
    """How far a Checkout session came."""

    OPEN = "open"
    EXPIRED = "expired"
    PENDING = "pending"
    """It is complete, and its payment is under way."""
    FAILED = "failed"
    """It is complete, and its payment came to nothing."""
    DONE = "done"


IN_VAIN = frozenset({"canceled", "requires_payment_method"})
"""Statuses of a payment intent with which nothing is under way: after a failure it waits for another method.

https://docs.stripe.com/payments/paymentintents/lifecycle
"""


UNDER_WAY = "processing"
"""Status of a payment intent whose payment has begun and not ended, as a bank debit for days."""


def stage(session: Mapping[str, Any], intents: Collection[str] = ()) -> Stage:
    """Return how far a session came, as Stripe shows it with its subscription and invoice inside.

    A bank debit leaves session, subscription and invoice as they are, whether it is under way or has failed;
    only the payment intents tell, whose statuses `intents` has. https://docs.stripe.com/checkout/fulfillment,
    https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses
    """
    if session["status"] != "complete":
        return Stage(session["status"])
    subscription, invoice = _status(session, "subscription"), _status(session, "invoice")
    if session.get("payment_status") != "unpaid":
        return Stage.PENDING if subscription == "incomplete" else Stage.DONE
    if not is_unsettled(session):
        return Stage.DONE
    if subscription in OVER:
        # Its end stops no debit that is under way, which pays the invoice as long as that is not void.
        return Stage.PENDING if UNDER_WAY in intents and invoice != "void" else Stage.FAILED
    in_vain = invoice == "void" or (len(intents) > 0 and IN_VAIN.issuperset(intents))
    return Stage.FAILED if in_vain else Stage.PENDING


def intent_status(payment: Mapping[str, Any]) -> str:
    """Return the status of an invoice payment's intent; one without an intent has only its own."""
    intent = payment["payment"].get("payment_intent")
    if payment["status"] == "canceled" or not isinstance(intent, Mapping):
        return str(payment["status"])
    return str(intent["status"])


def is_unpaid(invoice: Mapping[str, Any]) -> bool:
    """Return whether an invoice, as Stripe shows it with its payments inside, waits for a payment to be made.

    While a bank debit is under way, which takes days, the invoice is open and counts as attempted.
    Source: https://docs.stripe.com/payments/paymentintents/lifecycle
    """
    is_open = invoice["status"] in {"open", "uncollectible"} and invoice["amount_remaining"] > 0
    return is_open and all(intent_status(payment) != UNDER_WAY for payment in invoice["payments"]["data"])


def is_unsettled(session: Mapping[str, Any]) -> bool:
    """Return whether only its payment intents tell what becomes of a session."""
    if session["status"] != "complete" or session.get("payment_status") != "unpaid":
        return False
    subscription, invoice = _status(session, "subscription"), _status(session, "invoice")
    return subscription in {None, "incomplete"} or (subscription in OVER and invoice != "paid")


def _status(session: Mapping[str, Any], name: str) -> str | None:
    inside = session.get(name)
    return inside.get("status") if isinstance(inside, Mapping) else None
