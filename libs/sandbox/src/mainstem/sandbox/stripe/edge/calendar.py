"""Calendar: changes that happen by themselves when due, in order of time; `due` says when that is."""

from collections.abc import Callable

from mainstem.sandbox.stripe.hosted import checkout
from mainstem.sandbox.stripe.invoicing import collection, ending, invoices, renewals
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.subscribers import trials


def fall_due(account: StripeAccount, until: int) -> None:
    """Do all that is due at `until` or before; each thing happens at its own instant."""
    while (first := account.agenda.first()) is not None and first <= until:
        key = account.agenda.take(first)
        held = None if key is None else account.store.find(*key)
        if held is not None:
            with account.standing_at(first):
                _HANDLERS[held["object"]](account, held)


def _invoice(account: StripeAccount, invoice: Json) -> None:
    if invoice["due_date"] is None:
        collection.attempt(account, invoice)
    else:
        collection.lapse(account, invoice)


def _subscription(account: StripeAccount, subscription: Json) -> None:
    now = account.now
    if subscription["status"] == "incomplete":
        _expire(account, subscription)
    elif ((subscription["pause_collection"] or {}).get("resumes_at") or now + 1) <= now:
        with account.changing(subscription, "customer.subscription.updated"):
            subscription["pause_collection"] = None
    elif subscription["cancel_at"] is not None and subscription["cancel_at"] <= now:
        ending.end(account, subscription, reason="cancellation_requested")
    elif subscription["status"] != "trialing":
        renewals.renew(account, subscription)
    elif subscription["trial_end"] > now:
        trials.give_notice(account, subscription)
    else:
        _end_trial(account, subscription)


def _end_trial(account: StripeAccount, subscription: Json) -> None:
    customer = account.store.get("customer", subscription["customer"])
    method = collection.method_for(account, customer, subscription["default_payment_method"])
    without = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if method is None and without == "cancel":
        ending.end(account, subscription, reason="cancellation_requested")
    else:
        renewals.renew(account, subscription)


def _expire(account: StripeAccount, subscription: Json) -> None:
    with account.changing(subscription, "customer.subscription.updated"):
        subscription |= {"ended_at": account.now, "status": "incomplete_expired"}
    invoice = account.store.find("invoice", subscription["latest_invoice"])
    if invoice is not None and invoice["status"] == "open":
        invoices.void(account, invoice)


_HANDLERS: dict[str, Callable[[StripeAccount, Json], None]] = {
    "checkout.session": checkout.close,
    "invoice": _invoice,
    "subscription": _subscription,
}
