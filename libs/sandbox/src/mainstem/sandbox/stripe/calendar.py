"""What happens by itself when its time comes, in order of time; see `due` for when that is."""

from collections.abc import Callable

from mainstem.sandbox.stripe import collection, ending, invoices, renewals
from mainstem.sandbox.stripe.account import Account
from mainstem.sandbox.stripe.due import NOTICE
from mainstem.sandbox.stripe.store import Json


def fall_due(account: Account, until: int) -> None:
    """Do all that is due at `until` or before; each thing happens at its own instant."""
    while (first := account.agenda.first()) is not None and first <= until:
        key = account.agenda.take(first)
        held = None if key is None else account.store.find(*key)
        if held is not None:
            with account.standing_at(first):
                _HANDLERS[held["object"]](account, held)


def _invoice(account: Account, invoice: Json) -> None:
    collection.attempt(account, invoice)


def _subscription(account: Account, subscription: Json) -> None:
    now = account.now
    if subscription["status"] == "incomplete":
        _expire(account, subscription)
    elif subscription["cancel_at"] is not None and subscription["cancel_at"] <= now:
        ending.end(account, subscription, reason="cancellation_requested")
    elif subscription["status"] != "trialing":
        renewals.renew(account, subscription)
    elif subscription["trial_end"] > now:
        _give_notice(account, subscription)
    else:
        _end_trial(account, subscription)


def give_late_notice(account: Account, subscription: Json) -> None:
    """Tell at once that a trial ends, if the time for that has passed already."""
    late = subscription["status"] == "trialing" and subscription["trial_end"] - NOTICE <= account.now
    if late and not subscription["_noticed"]:
        _give_notice(account, subscription)


def _give_notice(account: Account, subscription: Json) -> None:
    subscription["_noticed"] = True
    account.record("customer.subscription.trial_will_end", subscription)


def _end_trial(account: Account, subscription: Json) -> None:
    customer = account.store.get("customer", subscription["customer"])
    method = collection.method_for(account, customer, subscription["default_payment_method"])
    without = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if method is None and without == "cancel":
        ending.end(account, subscription, reason="cancellation_requested")
    else:
        renewals.renew(account, subscription)


def _expire(account: Account, subscription: Json) -> None:
    with account.changing(subscription, "customer.subscription.updated"):
        subscription |= {"ended_at": account.now, "status": "incomplete_expired"}
    invoice = account.store.find("invoice", subscription["latest_invoice"])
    if invoice is not None and invoice["status"] == "open":
        invoices.void(account, invoice)


_HANDLERS: dict[str, Callable[[Account, Json], None]] = {"invoice": _invoice, "subscription": _subscription}
