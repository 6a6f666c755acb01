"""Meanings of subscription statuses and of Checkout sessions."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mainstem.billing.checkout.stages import Stage, stage
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
        ({"status": "open", "payment_status": "unpaid"}, [], Stage.OPEN),
        ({"status": "expired", "payment_status": "unpaid"}, [], Stage.EXPIRED),
        (session("paid", "active", "paid"), [], Stage.DONE),
        (session("paid", "canceled", "paid"), [], Stage.DONE),
        (session("paid", "incomplete", "open"), [], Stage.PENDING),
        (session("no_payment_required", "trialing", "paid"), [], Stage.DONE),
        (session("no_payment_required", "active", "paid"), [], Stage.DONE),
        (session("no_payment_required", "canceled", "paid"), [], Stage.DONE),
        (session(), [], Stage.PENDING),
        (session(), ["processing"], Stage.PENDING),
        (session(), ["requires_action"], Stage.PENDING),
        (session(), ["requires_capture"], Stage.PENDING),
        (session(), ["succeeded"], Stage.PENDING),
        (session(), ["open"], Stage.PENDING),
        (session(), ["what_comes_next"], Stage.PENDING),
        (session(), ["requires_payment_method"], Stage.FAILED),
        (session(), ["canceled"], Stage.FAILED),
        (session(), ["canceled", "requires_payment_method"], Stage.FAILED),
        (session(), ["requires_payment_method", "processing"], Stage.PENDING),
        (session(invoice="void"), [], Stage.FAILED),
        (session(subscription=None, invoice=None), [], Stage.PENDING),
        (session(subscription="incomplete_expired", invoice="void"), [], Stage.FAILED),
        (session(subscription="canceled", invoice="void"), [], Stage.FAILED),
        (session(subscription="canceled", invoice="open"), [], Stage.FAILED),
        (session(subscription="incomplete_expired"), ["requires_payment_method"], Stage.FAILED),
        (session(subscription="incomplete_expired"), ["processing"], Stage.PENDING),
        (session(subscription="canceled"), ["processing"], Stage.PENDING),
        (session(subscription="canceled", invoice="void"), ["processing"], Stage.FAILED),
        (session(subscription="canceled", invoice="paid"), [], Stage.DONE),
        (session(subscription="active", invoice="paid"), [], Stage.DONE),
        (session(subscription="past_due", invoice="open"), [], Stage.DONE),
    ],
)
def test_session_and_its_intents_tell_pending_from_failed(
    shown: dict[str, Any], intents: list[str], expected: Stage
) -> None:
    assert stage(shown, intents) is expected
