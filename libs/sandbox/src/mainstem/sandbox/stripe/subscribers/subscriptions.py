"""Subscriptions after their beginning: changed and ended by requests."""

from typing import Any

from mainstem.sandbox.stripe.goods import payment_methods
from mainstem.sandbox.stripe.goods.periods import Interval, Period
from mainstem.sandbox.stripe.goods.pricing import interval_of
from mainstem.sandbox.stripe.invoicing import billing, collection, ending, prorations, renewals
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.compose import items_of
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.subscribers import items, schedules, trials
from mainstem.sandbox.stripe.subscribers.terms import AFTER_THE_END, CANCEL, UPDATE, check_moments, settings
from mainstem.sandbox.stripe.wire import params
from mainstem.sandbox.stripe.wire.errors import StripeError, no_such
from mainstem.sandbox.stripe.wire.form import Tree


def retrieve(account: StripeAccount, given: str) -> Json:
    """Return a subscription, also one that has ended."""
    return account.store.get("subscription", given)


def update(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Change a subscription; a change that is charged at once is collected."""
    subscription = retrieve(account, given)
    wanted = params.read(tree, UPDATE)
    if not ending.is_live(subscription) and not wanted.keys() <= AFTER_THE_END:
        raise StripeError("A canceled subscription can only update its cancellation_details and metadata.")
    _own_method(account, subscription, wanted)
    check_moments(account.now, wanted)
    if not wanted.keys().isdisjoint(("cancel_at", "cancel_at_period_end")):
        schedules.check_free(subscription)
    change(account, subscription, wanted)
    return subscription


def _own_method(account: StripeAccount, subscription: Json, wanted: dict[str, Any]) -> None:
    method = wanted.get("default_payment_method")
    if method is not None:
        customer = account.store.get("customer", subscription["customer"])
        payment_methods.of_customer(account, customer, method, param="default_payment_method")


def change(account: StripeAccount, subscription: Json, wanted: dict[str, Any]) -> None:
    """Change a subscription as the parameters, read, want it."""
    with account.changing(subscription, "customer.subscription.updated"):
        turns = _change_items(account, subscription, wanted)
        settings(subscription, wanted)
        invoice = _reckon(account, subscription, wanted, turns=turns)
        ending.change_end(account, subscription, wanted)
    if invoice is not None:
        collection.open_and_attempt(account, invoice)
    trials.give_late_notice(account, subscription)


def _interval(account: StripeAccount, subscription: Json) -> Interval:
    first = items_of(account.store, subscription)[0]
    return interval_of(account.store.get("price", first["price"]))


def _change_items(account: StripeAccount, subscription: Json, wanted: dict[str, Any]) -> bool:
    """Change the items. Return whether a new period begins with that."""
    interval, before = _interval(account, subscription), prorations.shares(account, subscription)
    items.change(account, subscription, wanted.get("items", []))
    turns = wanted.get("billing_cycle_anchor") == "now" or _interval(account, subscription) != interval
    if wanted.get("proration_behavior") != "none" and subscription["status"] != "trialing":
        after = {} if turns else prorations.shares(account, subscription)
        prorations.prorate(account, subscription, before, after)
    return turns


def _reckon(
    account: StripeAccount, subscription: Json, wanted: dict[str, Any], *, turns: bool
) -> Json | None:
    """Return the draft of what is charged at once, None if nothing is."""
    if wanted.get("trial_end") is not None:
        return _change_trial(account, subscription, wanted["trial_end"])
    if subscription["status"] == "trialing":
        return None
    if turns:
        return renewals.turn(account, subscription, "subscription_update", anchor=account.now)
    if wanted.get("proration_behavior") == "always_invoice" and wanted.get("items"):
        return billing.draft_pending(account, subscription, "subscription_update")
    return None


def _change_trial(account: StripeAccount, subscription: Json, end: int | str) -> Json | None:
    if end == "now":
        if subscription["status"] != "trialing":
            return None
        subscription["trial_end"] = account.now
        return renewals.turn(account, subscription, "subscription_update", anchor=account.now)
    begun = subscription["trial_start"] if subscription["status"] == "trialing" else account.now
    facts = {"billing_cycle_anchor": end, "status": "trialing", "trial_end": end, "trial_start": begun}
    subscription |= {**facts, "_noticed": False}
    renewals.set_period(account, subscription, Period(begun, int(end)))
    return None


def cancel(account: StripeAccount, given: str, tree: Tree) -> Json:
    """End a subscription at once.

    Raises:
        StripeError: there is none with this id, or it has ended already.
    """
    subscription = retrieve(account, given)
    wanted = params.read(tree, CANCEL)
    if not ending.is_live(subscription):
        raise no_such("subscription", given)
    settings(subscription, wanted)
    if wanted.get("prorate") and subscription["status"] != "trialing":
        prorations.prorate(account, subscription, prorations.shares(account, subscription), {})
    if wanted.get("invoice_now"):
        invoice = billing.draft_pending(account, subscription, "subscription_update")
        if invoice is not None:
            collection.open_and_attempt(account, invoice)
    ending.end(account, subscription, reason="cancellation_requested")
    return subscription
