"""Payments of invoices: the default payment that finalization makes, with its payment intent.

Stripe sends events about payment intents as well; the sandbox does not.
https://docs.stripe.com/api/invoice-payment/object, https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from typing import Any

from mainstem.sandbox.stripe.goods.cards import CardRefusal
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.store import Json


def begin(account: StripeAccount, invoice: Json) -> None:
    """Make the default payment of an invoice that is being finalized, if anything is due."""
    amount = invoice["amount_remaining"]
    if amount == 0:
        return
    shared = {"currency": invoice["currency"], "invoice": invoice["id"]}
    intent = account.new(
        "payment_intent",
        **shared,
        amount=amount,
        capture_method="automatic",
        confirmation_method="automatic",
        customer=invoice["customer"],
        payment_method_types=["card"],
        status="requires_payment_method",
    )
    payment = account.new(
        "invoice_payment",
        **shared,
        amount_requested=amount,
        payment={"payment_intent": intent["id"], "type": "payment_intent"},
        status="open",
    )
    invoice |= {"payment_intent": intent["id"], "_payment": payment["id"]}


def process(account: StripeAccount, invoice: Json) -> None:
    """Have the payment be under way, as a bank debit is for days."""
    _change(account, invoice, {}, {"last_payment_error": None, "status": "processing"})


def succeed(account: StripeAccount, invoice: Json) -> None:
    """Have the payment be made."""
    amount = invoice["amount_due"]
    paid = {"amount_paid": amount, "status": "paid"}
    made = {"amount_received": amount, "last_payment_error": None, "status": "succeeded"}
    _change(account, invoice, paid, made, transition="paid_at")


def fail(account: StripeAccount, invoice: Json, refusal: CardRefusal) -> None:
    """Have an attempt come to nothing: the intent waits for another payment method."""
    error = refusal.error().body()["error"]
    _change(account, invoice, {}, {"last_payment_error": error, "status": "requires_payment_method"})


def cancel(account: StripeAccount, invoice: Json) -> None:
    """Have the payment be impossible from now on."""
    ended = {"canceled_at": account.now, "status": "canceled"}
    _change(account, invoice, {"status": "canceled"}, ended, transition="canceled_at")


def _change(
    account: StripeAccount, invoice: Json, payment: Json, intent: Json, *, transition: str | None = None
) -> None:
    held = account.store.find("invoice_payment", invoice["_payment"])
    if held is None:
        return
    held |= payment
    if transition is not None:
        held["status_transitions"][transition] = account.now
    found: dict[str, Any] = account.store.get("payment_intent", held["payment"]["payment_intent"])
    found |= intent
