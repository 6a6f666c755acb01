"""Statuses of subscriptions and the actions that each allows; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


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


OVER = frozenset({"canceled", "incomplete_expired"})
"""Statuses of a subscription that has ended. https://docs.stripe.com/billing/subscriptions/overview"""
