"""Recommendations, tables of examples and scripted answers, in each form that a case may give them."""

from typing import Any

import pytest
from tests.conformance.case import CaseError
from tests.conformance.ctms.case import Case, read
from tests.conformance.ctms.parts import plan


def whole() -> Any:
    """Return a case with a request and a window."""
    return {
        "id": "case",
        "steps": [
            {"action": {"http": {"method": "GET", "path": "/ctms"}}, "expect": {"status": 500}},
            {"action": {"acoustic_sync_cycle": {}}, "expect": {}},
        ],
    }


def test_a_recommendation_stands_in_for_the_upstreams_behaviour() -> None:
    content = {**whole(), "recommended": {"http": {"0": {"status": 202}}, "pending_acoustic": []}}
    found = read("x", content)
    assert isinstance(found, Case)
    assert (found.steps[0].expected["status"], found.final["pending_acoustic"]) == (202, [])
    assert isinstance(read("x", {**whole(), "recommended": "answer 202"}), Case)
    with pytest.raises(CaseError, match="unknown member"):
        read("x", {**whole(), "recommended": {"http": {"0": {"statuss": 202}}}})


def test_a_recommendation_may_name_steps_by_number_or_be_the_last_steps() -> None:
    found = read("x", {**whole(), "recommended": {"0": {"status": 202}, "product_rows": []}})
    assert isinstance(found, Case)
    assert (found.steps[0].expected["status"], found.steps[1].expected["product_rows"]) == (202, [])
    with pytest.raises(CaseError, match="unknown member"):
        read("x", {**whole(), "recommended": {"0": {"statuss": 202}}})


def test_unknown_member_of_a_table_makes_it_no_case() -> None:
    parts: list[dict[str, Any]] = [
        {"product_table": {"bools": []}},
        {"main_table_v1_1_0": {"dates": []}},
        {"fxa_created_date": [{"in": "x", "send": "x"}]},
    ]
    for part in parts:
        with pytest.raises(CaseError, match="unknown member"):
            read("x", {"id": "d15_value_conversions", **part})
    with pytest.raises(CaseError, match="unknown member"):
        read("x", {"id": "e08_heartbeat_limits", "cases": [{"expected": 200}]})


def test_answers_of_acoustic_that_are_null_are_successes() -> None:
    content = whole()
    content["steps"][1]["action"]["acoustic_sync_cycle"]["mock_responses"] = [None, {"raise": "Timeout"}]
    found = read("x", content)
    assert isinstance(found, Case)
    assert plan(found).not_run == []
