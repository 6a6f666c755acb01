"""Purchases inside Checkout sessions: subscription, invoice, and the hints that refresh their mirror."""

from mainstem.billing.accounts.storage import PROVIDER_ACCOUNT
from mainstem.billing.stripe.client import PROVIDER, Object
from mainstem.common.queue.hints import Hint


def subscription_of(session: Object) -> Object | None:
    """Return the subscription inside a session, None if there is none."""
    subscription = session.get("subscription")
    return subscription if isinstance(subscription, dict) else None


def invoice_of(session: Object) -> Object | None:
    """Return the invoice inside a session, None if there is none."""
    invoice = session.get("invoice")
    return invoice if isinstance(invoice, dict) else None


def hints_of(session: Object) -> list[Hint]:
    """Return the hints of a purchase that was made or has failed: customer, subscription and invoice."""
    subscription, invoice = subscription_of(session) or {}, invoice_of(session) or {}
    named = {
        "customer": session.get("customer"),
        "subscription": subscription.get("id"),
        "invoice": subscription.get("latest_invoice") or invoice.get("id"),
    }
    return [
        Hint(PROVIDER, PROVIDER_ACCOUNT, kind, object_id, bool(session["livemode"]))
        for kind, object_id in named.items()
        if isinstance(object_id, str)
    ]
