"""Answers to pushes: status, count and message as CTMS gives them, by what `/stripe` took."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.conformance.ctms.pushes import ERRORS, REFUSED, UNKNOWN, answer_differs, answer_to
from tests.conformance.verdict import Notes

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
CUSTOMER = {"id": "cus_1", "object": "customer"}
METHOD = {"id": "pm_1", "object": "payment_method"}


def differs(expected: dict[str, Any], payload: Any, count: int, *refused: Any) -> str | None:
    return answer_differs(expected, answer_to(payload, count, refused), NOW, Notes())


def accepted(message: str) -> dict[str, Any]:
    return {"status": 202, "json": {"status": REFUSED, "message": message}}


def taken(count: int) -> dict[str, Any]:
    return {"status": 200, "json": {"status": "OK", "count": count}}


def test_right_answers_are_no_difference() -> None:
    assert differs(taken(1), CUSTOMER, 1) is None
    assert differs(taken(0), {}, 0) is None
    assert differs(taken(1), {"a:1": CUSTOMER, "b:2": METHOD}, 1, METHOD) is None
    assert differs(accepted(UNKNOWN), [CUSTOMER], 0) is None
    assert differs(accepted(ERRORS), CUSTOMER, 0, CUSTOMER) is None


@pytest.mark.parametrize(
    "expected",
    [
        taken(2),
        {**taken(1), "status": 201},
        {"status": 200, "json": {"status": "ok", "count": 1}},
        {"status": 200, "json": {"status": "OK"}},
        {"status": 200, "json": {"status": "OK", "count": 1, "more": 1}},
        {"status": 500},
        accepted(ERRORS),
    ],
)
def test_another_answer_to_what_was_taken_is_a_difference(expected: dict[str, Any]) -> None:
    assert differs(expected, CUSTOMER, 1) is not None


@pytest.mark.parametrize("expected", [taken(0), accepted(UNKNOWN), {**accepted(ERRORS), "status": 203}])
def test_another_answer_to_what_was_refused_is_a_difference(expected: dict[str, Any]) -> None:
    assert differs(expected, CUSTOMER, 0, CUSTOMER) is not None


def test_crash_of_ctms_is_noted_and_its_message_is_not_compared() -> None:
    notes = Notes()
    assert answer_differs({"status": 500}, answer_to({"foo": "bar"}, 0, [{"foo": "bar"}]), NOW, notes) is None
    assert notes.documented
    for message in (UNKNOWN, ERRORS, "do not send it again"):
        assert differs(accepted(message), {"a:b": "text"}, 0, "text") is None
    assert differs(taken(1), {"a:b": "text"}, 0, "text") is not None
