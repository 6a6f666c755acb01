"""What statuses, bills and sessions mean."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mainstem.billing.policies import Bill, Stage, is_active, is_cancelable, is_overdue, stage

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


def bill(**more: Any) -> Bill:
    plain: dict[str, Any] = {
        "status": "open",
        "amount_due": 999,
        "amount_paid": 0,
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
    }
    return Bill(**(plain | more))


@pytest.mark.parametrize(
    ("one", "overdue"),
    [
        (bill(), True),
        (bill(status="uncollectible", billing_reason="subscription_create"), True),
        (bill(status="paid", amount_paid=999), False),
        (bill(status="draft"), False),
        (bill(status="void"), False),
        (bill(amount_paid=999), False),
        (bill(amount_due=None, amount_paid=None), False),
        (bill(billing_reason="subscription_create"), False),
        (bill(collection_method="send_invoice"), False),
    ],
)
def test_a_bill_is_overdue_that_should_have_been_paid(one: Bill, overdue: bool) -> None:
    assert is_overdue(one) is overdue


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        ({"status": "open"}, Stage.OPEN),
        ({"status": "expired"}, Stage.EXPIRED),
        ({"status": "complete", "payment_status": "paid", "subscription": {"status": "active"}}, Stage.DONE),
        (
            {
                "status": "complete",
                "payment_status": "no_payment_required",
                "subscription": {"status": "trialing"},
            },
            Stage.DONE,
        ),
        (
            {"status": "complete", "payment_status": "unpaid", "subscription": {"status": "incomplete"}},
            Stage.PENDING,
        ),
        (
            {
                "status": "complete",
                "payment_status": "unpaid",
                "subscription": {"status": "incomplete_expired"},
            },
            Stage.DONE,
        ),
        ({"status": "complete", "payment_status": "unpaid", "subscription": None}, Stage.PENDING),
    ],
)
def test_a_session_is_over_when_its_payment_is(session: dict[str, Any], expected: Stage) -> None:
    assert stage(session) is expected
