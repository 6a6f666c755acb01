"""The end of a subscription: now, later, or taken back."""

from typing import Any

from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.store import Json

_OVER = frozenset({"canceled", "incomplete_expired"})


def is_live(subscription: Json) -> bool:
    """Return whether the subscription has not ended."""
    return subscription["status"] not in _OVER


def end(account: StripeAccount, subscription: Json, *, reason: str) -> None:
    """End the subscription at once, and try no longer to collect what it owes."""
    before_at = subscription["canceled_at"]
    subscription |= {
        "canceled_at": account.now if before_at is None else before_at,
        "ended_at": account.now,
        "status": "canceled",
    }
    _give_reason(subscription, reason)
    account.record("customer.subscription.deleted", subscription)
    for invoice in account.store.select(
        "invoice", lambda held: held["subscription"] == subscription["id"] and held["status"] == "open"
    ):
        with account.changing(invoice, "invoice.updated"):
            invoice |= {"auto_advance": False, "next_payment_attempt": None}


def end_later(account: StripeAccount, subscription: Json, at: int | None = None) -> None:
    """Have the subscription end by itself at an instant; None is the end of its period."""
    subscription |= {
        "cancel_at": subscription["current_period_end"] if at is None else at,
        "cancel_at_period_end": at is None,
        "canceled_at": account.now,
    }
    _give_reason(subscription, "cancellation_requested")


def change_end(account: StripeAccount, subscription: Json, wanted: dict[str, Any]) -> None:
    """Have the subscription end, or go on, as the parameters want it."""
    at = wanted.get("cancel_at")
    if wanted.get("cancel_at_period_end"):
        end_later(account, subscription)
    elif at is not None:
        # Its items share one period, so `min_period_end` and `max_period_end` are the same instant.
        end_later(account, subscription, subscription["current_period_end"] if isinstance(at, str) else at)
    elif "cancel_at" in wanted or "cancel_at_period_end" in wanted:
        # Each parameter unsets only what it set.
        if subscription["cancel_at_period_end"] == ("cancel_at_period_end" in wanted):
            go_on(subscription)
    elif subscription["cancel_at_period_end"]:
        # The period may have changed under a cancellation that was asked for before.
        subscription["cancel_at"] = subscription["current_period_end"]


def go_on(subscription: Json) -> None:
    """Take a cancellation back that has not come to pass."""
    subscription |= {"cancel_at": None, "cancel_at_period_end": False, "canceled_at": None}
    _give_reason(subscription, None)


def _give_reason(subscription: Json, reason: str | None) -> None:
    subscription["cancellation_details"] = {**subscription["cancellation_details"], "reason": reason}
