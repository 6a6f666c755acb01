"""Renewals: the turn of a subscription's period and the charges for the next one."""

from mainstem.sandbox.stripe.goods.periods import Period, period_at
from mainstem.sandbox.stripe.goods.pricing import interval_of
from mainstem.sandbox.stripe.invoicing import billing, collection
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.compose import items_of
from mainstem.sandbox.stripe.state.store import Json


def set_period(account: StripeAccount, subscription: Json, period: Period) -> None:
    """Put the subscription and its items into a period."""
    for held in (subscription, *items_of(account.store, subscription)):
        held |= {"current_period_end": period.end, "current_period_start": period.start}


def turn(account: StripeAccount, subscription: Json, reason: str, *, anchor: int | None = None) -> Json:
    """Begin the period in which the world's time lies and return the draft of its invoice.

    Given an anchor, periods are reckoned from it from now on. Nothing is told yet.
    """
    former = subscription["current_period_start"], subscription["current_period_end"]
    if anchor is not None:
        subscription["billing_cycle_anchor"] = anchor
    if subscription["status"] == "trialing":
        subscription["status"] = "active"
    period = _period_now(account, subscription)
    set_period(account, subscription, period)
    invoice = billing.draft(account, subscription, reason, period=period)
    invoice["period_start"], invoice["period_end"] = former[0], min(former[1], account.now)
    return invoice


def renew(account: StripeAccount, subscription: Json) -> None:
    """Begin the next period and collect what it costs."""
    with account.changing(subscription, "customer.subscription.updated"):
        invoice = turn(account, subscription, "subscription_cycle")
    if subscription["status"] == "unpaid":
        # Stripe leaves these as drafts until somebody finalizes them.
        account.record("invoice.created", invoice)
    else:
        collection.open_and_attempt(account, invoice)


def _period_now(account: StripeAccount, subscription: Json) -> Period:
    first = items_of(account.store, subscription)[0]
    price = account.store.get("price", first["price"])
    return period_at(subscription["billing_cycle_anchor"], interval_of(price), account.now)
