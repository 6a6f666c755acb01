"""Statuses of subscriptions and the actions that each allows; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StatusPolicy:
    """Actions that a status allows; an active subscription excludes another purchase."""

    is_active: bool
    is_cancelable: bool


STATUSES: Mapping[str, StatusPolicy] = {
    "incomplete": StatusPolicy(is_active=False, is_cancelable=False),
    "incomplete_expired": StatusPolicy(is_active=False, is_cancelable=False),
    "trialing": StatusPolicy(is_active=True, is_cancelable=True),
    "active": StatusPolicy(is_active=True, is_cancelable=True),
    "past_due": StatusPolicy(is_active=False, is_cancelable=True),
    "canceled": StatusPolicy(is_active=False, is_cancelable=False),
    "unpaid": StatusPolicy(is_active=False, is_cancelable=False),
    "paused": StatusPolicy(is_active=False, is_cancelable=False),
}
"""Every status, https://docs.stripe.com/api/subscriptions/object#subscription_object-status."""

_UNKNOWN = StatusPolicy(is_active=False, is_cancelable=False)


def is_active(status: str | None) -> bool:
    """Return whether a subscription of this status excludes another purchase."""
    return STATUSES.get(status or "", _UNKNOWN).is_active


def is_cancelable(status: str | None, cancel_at: datetime | None) -> bool:
    """Return whether a subscription can be cancelled: it runs, and no end is set."""
    return STATUSES.get(status or "", _UNKNOWN).is_cancelable and cancel_at is None


OVER = frozenset({"canceled", "incomplete_expired"})
"""Statuses of a subscription that has ended. https://docs.stripe.com/billing/subscriptions/overview"""
