"""What a subscription, a bill and a checkout session mean for who may buy and who may leave: pure."""

from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True)
class Bill:
    """What matters of an invoice; amounts are in the currency's minor unit."""

    status: str | None
    amount_due: int | None
    amount_paid: int | None
    billing_reason: str | None
    collection_method: str | None


def is_overdue(bill: Bill) -> bool:
    """Return whether a bill should have been paid by now.

    One that is charged by itself is paid when it is made, but for a first one, which nobody has to pay; one
    that is sent may still wait for its day.
    """
    if (bill.amount_due or 0) <= (bill.amount_paid or 0):
        return False
    is_first = bill.billing_reason == "subscription_create"
    is_charged = bill.collection_method == "charge_automatically"
    return bill.status == "uncollectible" or (bill.status == "open" and is_charged and not is_first)


class Stage(StrEnum):
    """How far a checkout session came."""

    OPEN = "open"
    EXPIRED = "expired"
    PENDING = "pending"
    """It is complete, and its payment is not."""
    DONE = "done"


def stage(session: Mapping[str, Any]) -> Stage:
    """Return how far a session came, as Stripe shows it with its subscription inside."""
    if session["status"] != "complete":
        return Stage(session["status"])
    subscription = session.get("subscription")
    status = subscription.get("status") if isinstance(subscription, Mapping) else None
    is_unpaid = session.get("payment_status") == "unpaid"
    return Stage.PENDING if status == "incomplete" or (is_unpaid and status is None) else Stage.DONE
