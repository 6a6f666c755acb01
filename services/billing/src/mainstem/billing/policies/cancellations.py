"""Cancellations of a subscription that lie ahead: their two signals, and how each is taken back. Pure."""

from collections.abc import Mapping
from typing import Any

from mainstem.billing.policies.statuses import OVER


def undoing(subscription: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the change that takes the next signal of a cancellation back, None if no signal is set.

    Stripe refuses both parameters at once, and each unsets only what it set: the flag also fills `cancel_at`,
    while the portal sets `cancel_at` alone in flexible billing mode.
    Source: https://docs.stripe.com/billing/subscriptions/billing-mode/compare.
    """
    if subscription["cancel_at_period_end"]:
        return {"cancel_at_period_end": False}
    return None if subscription["cancel_at"] is None else {"cancel_at": ""}


def has_ended(subscription: Mapping[str, Any]) -> bool:
    """Return whether a subscription is over, so that nothing can be taken back."""
    return subscription["status"] in OVER


def is_newer(subscription: Mapping[str, Any], former: Mapping[str, Any]) -> bool:
    """Return whether a subscription was cancelled again since it was read before."""
    at: int | None = subscription["canceled_at"]
    return at is not None and at != former["canceled_at"]
