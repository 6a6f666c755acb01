"""Meanings of the states of subscriptions, Checkout sessions and invoice payments: pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Policy:
    """What one of Stripe's statuses allows: one that is active keeps from buying again."""

    is_active: bool
    is_cancelable: bool


STATUSES: Mapping[str, Policy] = {
    "incomplete": Policy(is_active=False, is_cancelable=False),
    "incomplete_expired": Policy(is_active=False, is_cancelable=False),
    "trialing": Policy(is_active=True, is_cancelable=True),
    "active": Policy(is_active=True, is_cancelable=True),
    "past_due": Policy(is_active=False, is_cancelable=True),
    "canceled": Policy(is_active=False, is_cancelable=False),
    "unpaid": Policy(is_active=False, is_cancelable=False),
    "paused": Policy(is_active=False, is_cancelable=False),
}
"""Every status, https://docs.stripe.com/api/subscriptions/object#subscription_object-status."""

_UNKNOWN = Policy(is_active=False, is_cancelable=False)


def is_active(status: str | None) -> bool:
    """Return whether somebody with such a subscription has what would be sold."""
    return STATUSES.get(status or "", _UNKNOWN).is_active


def is_cancelable(status: str | None, cancel_at: datetime | None) -> bool:
    """Return whether a subscription can be cancelled: it runs, and no end is set."""
    return STATUSES.get(status or "", _UNKNOWN).is_cancelable and cancel_at is None


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

OVER = frozenset({"canceled", "incomplete_expired"})
"""Statuses of a subscription that has ended. https://docs.stripe.com/billing/subscriptions/overview"""


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
