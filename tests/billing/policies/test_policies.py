"""Meanings of subscription statuses and of Checkout sessions."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mainstem.billing.checkout.status import CheckoutStatus, checkout_status
from mainstem.billing.policies.statuses import is_active, is_cancelable

END = datetime(2031, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "active", "cancelable"),
    [
        ("incomplete", False, False),
        ("incomplete_expired", False, False),
        ("trialing", True, True),
        ("active", True, True),
        ("past_due", False, True),
        ("canceled", False, False),
        ("unpaid", False, False),
        ("paused", False, False),
        ("what_comes_next", False, False),
        (None, False, False),
    ],
)
def test_a_status_says_who_has_something_and_who_may_leave(
    status: str | None, active: bool, cancelable: bool
) -> None:
    assert is_active(status) is active
    assert is_cancelable(status, None) is cancelable
    assert is_cancelable(status, END) is False


def session(
    payment_status: str = "unpaid", subscription: str | None = "incomplete", invoice: str | None = "open"
) -> dict[str, Any]:
    """Return a complete session, with the statuses of what is inside."""
    inside = {"subscription": subscription, "invoice": invoice}
    shown = {name: None if status is None else {"status": status} for name, status in inside.items()}
    return {"status": "complete", "payment_status": payment_status, **shown}


@pytest.mark.parametrize(
    ("shown", "intents", "expected"),
    [
        ({"status": "open", "payment_status": "unpaid"}, [], CheckoutStatus.OPEN),
        ({"status": "expired", "payment_status": "unpaid"}, [], CheckoutStatus.EXPIRED),
        (session("paid", "active", "paid"), [], CheckoutStatus.DONE),
        (session("paid", "canceled", "paid"), [], CheckoutStatus.DONE),
        (session("paid", "incomplete", "open"), [], CheckoutStatus.PENDING),
        (session("no_payment_required", "trialing", "paid"), [], CheckoutStatus.DONE),
        (session("no_payment_required", "active", "paid"), [], CheckoutStatus.DONE),
        (session("no_payment_required", "canceled", "paid"), [], CheckoutStatus.DONE),
        (session(), [], CheckoutStatus.PENDING),
        (session(), ["processing"], CheckoutStatus.PENDING),
        (session(), ["requires_action"], CheckoutStatus.PENDING),
        (session(), ["requires_capture"], CheckoutStatus.PENDING),
        (session(), ["succeeded"], CheckoutStatus.PENDING),
        (session(), ["open"], CheckoutStatus.PENDING),
        (session(), ["what_comes_next"], CheckoutStatus.PENDING),
        (session(), ["requires_payment_method"], CheckoutStatus.FAILED),
        (session(), ["canceled"], CheckoutStatus.FAILED),
        (session(), ["canceled", "requires_payment_method"], CheckoutStatus.FAILED),
        (session(), ["requires_payment_method", "processing"], CheckoutStatus.PENDING),
        (session(invoice="void"), [], CheckoutStatus.FAILED),
        (session(subscription=None, invoice=None), [], CheckoutStatus.PENDING),
        (session(subscription="incomplete_expired", invoice="void"), [], CheckoutStatus.FAILED),
        (session(subscription="canceled", invoice="void"), [], CheckoutStatus.FAILED),
        (session(subscription="canceled", invoice="open"), [], CheckoutStatus.FAILED),
        (session(subscription="incomplete_expired"), ["requires_payment_method"], CheckoutStatus.FAILED),
        (session(subscription="incomplete_expired"), ["processing"], CheckoutStatus.PENDING),
        (session(subscription="canceled"), ["processing"], CheckoutStatus.PENDING),
        (session(subscription="canceled", invoice="void"), ["processing"], CheckoutStatus.FAILED),
        (session(subscription="canceled", invoice="paid"), [], CheckoutStatus.DONE),
        (session(subscription="active", invoice="paid"), [], CheckoutStatus.DONE),
        (session(subscription="past_due", invoice="open"), [], CheckoutStatus.DONE),
    ],
)
def test_session_and_its_intents_tell_pending_from_failed(
    shown: dict[str, Any], intents: list[str], expected: CheckoutStatus
) -> None:
    assert checkout_status(shown, intents) is expected
