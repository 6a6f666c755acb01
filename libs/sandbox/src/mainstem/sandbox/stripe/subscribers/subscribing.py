"""The beginning of a subscription: its terms, its first period and its first invoice."""

from dataclasses import dataclass
from typing import Any

from mainstem.sandbox.stripe.goods import payment_methods
from mainstem.sandbox.stripe.goods.periods import Period, period_at
from mainstem.sandbox.stripe.goods.pricing import amount_of, interval_of
from mainstem.sandbox.stripe.invoicing import billing, collection, invoices
from mainstem.sandbox.stripe.invoicing.ending import change_end
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.subscribers import items, trials
from mainstem.sandbox.stripe.subscribers.terms import CREATE, check_moments, settings
from mainstem.sandbox.stripe.wire import params
from mainstem.sandbox.stripe.wire.errors import StripeError
from mainstem.sandbox.stripe.wire.form import Tree

_SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class _Terms:
    """Terms of a requested subscription, checked."""

    customer: Json
    prices: list[Json]
    wanted: dict[str, Any]
    method: Json | None
    trial_end: int | None


def create(account: StripeAccount, given: Tree) -> Json:
    """Make a subscription and collect its first invoice.

    Raises:
        StripeError: a parameter will not do, nothing can be charged, or the card is declined and
            `payment_behavior` is `error_if_incomplete`; then nothing was made.
    """
    terms = _terms(account, params.read(given, CREATE, required=("customer", "items")))
    status = _first_status(account, terms)
    subscription, period = _begin(account, terms, status)
    invoice = billing.draft(account, subscription, "subscription_create", period=period)
    with account.changing(terms.customer, "customer.updated"):
        terms.customer["currency"] = subscription["currency"]
    account.record("customer.subscription.created", subscription)
    if terms.wanted.get("payment_behavior") == "default_incomplete" and status == "incomplete":
        account.record("invoice.created", invoice)
        invoices.finalize(account, invoice)
    else:
        collection.open_and_attempt(account, invoice)
    trials.give_late_notice(account, subscription)
    return subscription


def _terms(account: StripeAccount, wanted: dict[str, Any]) -> _Terms:
    check_moments(account.now, wanted)
    invoices.days_until_due(wanted)
    customer = account.store.get("customer", wanted["customer"], param="customer")
    if not wanted["items"]:
        raise StripeError("Missing required param: items.", code="parameter_missing", param="items")
    prices = [items.price_of(account, one, f"items[{index}]") for index, one in enumerate(wanted["items"])]
    items.check_alike(prices)
    items.check_currency(account, customer, prices[0]["currency"])
    default = wanted.get("default_payment_method")
    if default is not None:
        payment_methods.of_customer(account, customer, default, param="default_payment_method")
    method = collection.method_for(account, customer, default)
    return _Terms(customer, prices, wanted, method, _trial_end(account, wanted))


def _trial_end(account: StripeAccount, wanted: dict[str, Any]) -> int | None:
    end = wanted.get("trial_end")
    if end is None and wanted.get("trial_period_days"):
        return account.now + int(wanted["trial_period_days"]) * _SECONDS_A_DAY
    return None if end in (None, "now") else int(end)


def _first_status(account: StripeAccount, terms: _Terms) -> str:
    """Return the status that the first invoice will lead to."""
    if terms.trial_end is not None:
        return "trialing"
    if terms.wanted.get("collection_method") == invoices.SENT:
        return "active"
    if _first_amount(account, terms) <= 0:
        return "active"
    behavior = terms.wanted.get("payment_behavior", "allow_incomplete")
    if behavior == "default_incomplete":
        return "incomplete"
    if terms.method is None:
        raise StripeError(
            "This customer has no attached payment source or default payment method. Please consider adding "
            "a default payment method.",
            code="resource_missing",
        )
    refusal = payment_methods.method_card(terms.method).on_charge
    if refusal is not None and behavior == "error_if_incomplete":
        raise refusal.error()
    return "active" if refusal is None else "incomplete"


def _first_amount(account: StripeAccount, terms: _Terms) -> int:
    customer, currency = terms.customer, terms.prices[0]["currency"]
    pending = billing.pending_items(account, customer["id"], None, currency)
    parts = [
        amount_of(price, items.quantity_of(price, one))
        for price, one in zip(terms.prices, terms.wanted["items"], strict=True)
    ]
    return int(customer["balance"] + sum(parts) + sum(item["amount"] for item in pending))


def _begin(account: StripeAccount, terms: _Terms, status: str) -> tuple[Json, Period]:
    now, trial_end = account.now, terms.trial_end
    anchor = now if trial_end is None else trial_end
    period = (
        period_at(now, interval_of(terms.prices[0]), now) if trial_end is None else Period(now, trial_end)
    )
    subscription = account.new(
        "subscription",
        billing_cycle_anchor=anchor,
        billing_mode=_billing_mode(terms.wanted, now),
        collection_method="charge_automatically",
        currency=terms.prices[0]["currency"],
        current_period_end=period.end,
        current_period_start=period.start,
        customer=terms.customer["id"],
        invoice_settings={"account_tax_ids": None, "issuer": {"type": "self"}},
        items=[],
        start_date=now,
        status=status,
        trial_end=trial_end,
        trial_settings={"end_behavior": {"missing_payment_method": "create_invoice"}},
        trial_start=None if trial_end is None else now,
        _noticed=False,
    )
    for price, one in zip(terms.prices, terms.wanted["items"], strict=True):
        items.add(account, subscription, price, one)
    settings(subscription, terms.wanted)
    change_end(account, subscription, terms.wanted)
    return subscription, period


def _billing_mode(wanted: dict[str, Any], now: int) -> Json:
    """Return the billing mode, flexible unless classic is wanted, as at Stripe since 2025-09-30.clover.

    Source: https://docs.stripe.com/changelog/clover/2025-09-30/billing-mode-default-flexible.
    """
    kind = (wanted.get("billing_mode") or {"type": "flexible"})["type"]
    if kind == "classic":
        return {"flexible": None, "type": kind}
    return {"flexible": {"proration_discounts": "included"}, "type": kind, "updated_at": now}
