"""Collection of invoices, and its effect on their subscriptions."""

from mainstem.sandbox.stripe.goods import payment_methods
from mainstem.sandbox.stripe.goods.cards import CardRefusal
from mainstem.sandbox.stripe.invoicing import ending, invoices, payments
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.store import Json

_SECONDS_A_DAY = 86_400
_NO_METHOD = CardRefusal(
    "card_declined", "missing_payment_method", "This customer has no default payment method to charge."
)
_NOT_COVERED = CardRefusal("card_declined", "insufficient_funds", "The bank account has insufficient funds.")
_WAITING = frozenset({"incomplete", "past_due", "unpaid"})
"""A subscription's statuses that end when its latest invoice is paid."""
_CURRENT = frozenset({"active", "trialing"})


def method_for(account: StripeAccount, customer: Json, preferred: str | None) -> Json | None:
    """Return the payment method that would be charged, None if there is none."""
    default = customer["invoice_settings"]["default_payment_method"]
    return account.store.find("payment_method", preferred or default)


def attempt(
    account: StripeAccount, invoice: Json, *, preferred: str | None = None, scheduled: bool = True
) -> CardRefusal | None:
    """Try to collect an open invoice. Return why it was refused, None if it is paid.

    An attempt that a caller asked for changes nothing about the scheduled ones.
    """
    subscription = account.store.find("subscription", invoice["subscription"])
    refusal = _refusal(account, invoice, subscription, preferred)
    if refusal is None:
        settle(account, invoice)
        return None
    _fail(account, invoice, subscription, refusal, scheduled=scheduled)
    return refusal


def _refusal(
    account: StripeAccount, invoice: Json, subscription: Json | None, preferred: str | None
) -> CardRefusal | None:
    if invoice["amount_remaining"] == 0:
        return None
    chosen = preferred or (subscription or invoice)["default_payment_method"]
    method = method_for(account, account.store.get("customer", invoice["customer"]), chosen)
    return _NO_METHOD if method is None else payment_methods.method_card(method).on_charge


def settle(account: StripeAccount, invoice: Json, *, out_of_band: bool = False) -> None:
    """Make an open invoice a paid one, and its subscription an active one if it waited for that."""
    charged = invoice["amount_remaining"] > 0 and not out_of_band
    (payments.cancel if out_of_band else payments.succeed)(account, invoice)
    invoice |= {
        "amount_paid": invoice["amount_due"],
        "amount_remaining": 0,
        "attempt_count": invoice["attempt_count"] + charged,
        "attempted": True,
        "auto_advance": False,
        "next_payment_attempt": None,
        "paid": True,
        "paid_out_of_band": out_of_band,
        "status": "paid",
    }
    invoice["status_transitions"]["paid_at"] = account.now
    account.record("invoice.paid", invoice)
    account.record("invoice.payment_succeeded", invoice)
    subscription = account.store.find("subscription", invoice["subscription"])
    if subscription is not None and subscription["latest_invoice"] == invoice["id"]:
        with account.changing(subscription, "customer.subscription.updated"):
            if subscription["status"] in _WAITING:
                subscription["status"] = "active"


def fail(account: StripeAccount, invoice: Json) -> None:
    """Have a payment of an open invoice that was under way come to nothing."""
    subscription = account.store.find("subscription", invoice["subscription"])
    _fail(account, invoice, subscription, _NOT_COVERED, scheduled=False)


def _fail(
    account: StripeAccount, invoice: Json, subscription: Json | None, refusal: CardRefusal, *, scheduled: bool
) -> None:
    payments.fail(account, invoice, refusal)
    invoice |= {"attempt_count": invoice["attempt_count"] + 1, "attempted": True}
    if scheduled:
        invoice["next_payment_attempt"] = _next_attempt(account, invoice, subscription)
    account.record("invoice.payment_failed", invoice)
    if subscription is None:
        return
    with account.changing(subscription, "customer.subscription.updated"):
        if subscription["status"] in _CURRENT:
            subscription["status"] = "past_due"
    if scheduled and subscription["status"] == "past_due" and invoice["next_payment_attempt"] is None:
        _stop_trying(account, subscription)


def _next_attempt(account: StripeAccount, invoice: Json, subscription: Json | None) -> int | None:
    if subscription is None or subscription["status"] == "incomplete" or not invoice["auto_advance"]:
        return None
    waits = account.dunning.retry_after_days[invoice["_tries"] :]
    invoice["_tries"] += 1
    return account.now + waits[0] * _SECONDS_A_DAY if waits else None


def _stop_trying(account: StripeAccount, subscription: Json) -> None:
    if account.dunning.afterwards == "canceled":
        ending.end(account, subscription, reason="payment_failed")
        return
    with account.changing(subscription, "customer.subscription.updated"):
        subscription["status"] = account.dunning.afterwards


def open_and_attempt(account: StripeAccount, invoice: Json) -> CardRefusal | None:
    """Tell of a draft, finalize it and try to collect it at once, or as its subscription wants it."""
    subscription = account.store.find("subscription", invoice["subscription"])
    if subscription is not None and subscription["pause_collection"] is not None:
        _set_aside(account, invoice, subscription["pause_collection"]["behavior"])
        return None
    account.record("invoice.created", invoice)
    invoices.finalize(account, invoice)
    if invoice["collection_method"] == invoices.SENT and invoice["amount_remaining"] > 0:
        account.record("invoice.sent", invoice)
        return None
    return attempt(account, invoice)


def _set_aside(account: StripeAccount, invoice: Json, behavior: str) -> None:
    """Make of a draft what paused collection makes of it.

    https://docs.stripe.com/billing/subscriptions/pause-payment
    """
    invoice["auto_advance"] = False
    account.record("invoice.created", invoice)
    if behavior == "keep_as_draft":
        return
    invoices.finalize(account, invoice)
    if behavior == "void":
        invoices.void(account, invoice)
    else:
        invoices.give_up(account, invoice, "subscription_paused")


def lapse(account: StripeAccount, invoice: Json) -> None:
    """Have a sent invoice be past its due date: its subscription is past due."""
    invoice["_is_late"] = True
    subscription = account.store.find("subscription", invoice["subscription"])
    if subscription is None or subscription["latest_invoice"] != invoice["id"]:
        return
    with account.changing(subscription, "customer.subscription.updated"):
        if subscription["status"] in _CURRENT:
            subscription["status"] = "past_due"
