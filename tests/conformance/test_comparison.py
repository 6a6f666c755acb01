from datetime import UTC, datetime
from typing import Any

import pytest
from tests.conformance.case import Case, Step
from tests.conformance.comparison import answer_differs, differs, rows_differ
from tests.conformance.requests import wire
from tests.conformance.skips import reason
from tests.conformance.statements import why_not

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": [{"b": None}]}, {"a": [{"b": None, "c": 1}]}),
        ("2021-09-27T00:00:00+00:00", "2021-09-27T02:00:00+02:00"),
        ("<NOW>", "2024-05-06T07:01:00+00:00"),
        ("<TODAY YYYY-MM-DD>", "2024-05-06"),
        ("<NOW MM/DD/YYYY HH:MM:SS>", "05/06/2024 07:08:00"),
        ("<int>", 3),
        ("<any>", None),
        ("<JWT>", "a-b.c_d.e"),
        ("<b>text</b>", "<b>text</b>"),
    ],
)
def test_what_is_expected_is_found(expected: Any, actual: Any) -> None:
    assert differs(expected, actual, NOW) is None


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({"a": 1}, {}),
        ({"a": {"b": 1}}, {"a": {"b": 2}}),
        ([1], [1, 2]),
        ([1, 2], [2, 1]),
        (1, True),
        (0, False),
        (None, ""),
        ("1", 1),
        ("2021-09-27T00:00:00+00:00", "2021-09-27T00:00:01+00:00"),
        ("<NOW>", "2024-05-06T06:01:00+00:00"),
        ("<NOW>", None),
        ("<TODAY YYYY-MM-DD>", "2024-05-07"),
        ("<TODAY YYYY-MM-DD>", "2024-05-04"),
        ("<NOW MM/DD/YYYY HH:MM:SS>", "05/06/2024 05:08:00"),
        ("<int>", "3"),
        ("<int>", True),
        ("<JWT>", "abc"),
    ],
)
def test_what_is_not_there_is_a_difference(expected: Any, actual: Any) -> None:
    assert differs(expected, actual, NOW) is not None


def test_the_first_difference_says_where_it_is() -> None:
    found = differs({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1, "c": 3}]}, NOW, "body")
    assert found == "body.a[0].c: 2 expected, 3 found"


def test_rows_may_come_in_any_order_but_none_may_be_absent_or_too_much() -> None:
    rows = [{"id": "a", "x": 1}, {"id": "b", "x": 2}]
    assert rows_differ(rows, rows[::-1], "id", NOW) is None
    assert rows_differ(rows, rows[:1], "id", NOW) == "id b is absent"
    assert rows_differ(rows[:1], rows, "id", NOW) == "id b is too much"
    assert rows_differ(rows[:1], [*rows[:1], *rows[:1]], "id", NOW) == "id comes more than once"


def test_of_a_refusal_the_places_count_and_not_the_words() -> None:
    expected = {"status": 422, "json": {"detail": [{"loc": ["body", "email"], "msg": "theirs"}]}}
    ours = {"detail": "ours", "errors": [{"loc": ["body", "email"], "msg": "other words"}]}
    assert answer_differs(expected, 422, ours, {}, NOW) is None
    ours["errors"] = [{"loc": ["body", "fxa"]}]
    assert "email" in (answer_differs(expected, 422, ours, {}, NOW) or "")


def test_a_refusal_in_a_text_is_compared_as_text() -> None:
    expected = {"status": 422, "json": {"detail": "cannot change email_id"}}
    assert answer_differs(expected, 422, {"detail": "cannot change email_id"}, {}, NOW) is None
    assert answer_differs(expected, 422, {"detail": "no"}, {}, NOW) is not None


def test_a_product_is_compared_as_acoustic_gets_it() -> None:
    product = {
        "amount": None,
        "interval": None,
        "sub_count": 2,
        "cancel_at_period_end": True,
        "changed": "2021-09-27T01:02:03+00:00",
        "product_id": "prod_T",
    }
    assert wire("someone", product) == {
        "email_id": "someone",
        "amount": "-1",
        "interval": "",
        "sub_count": "2",
        "cancel_at_period_end": "Yes",
        "changed": "09/27/2021 01:02:03",
        "product_id": "prod_T",
    }


def case(kind: str, action: Any, expected: Any = None) -> Case:
    return Case("case", [], [], [], [Step(0, kind, action, expected or {})], {})


def http(method: str, path: str, **more: Any) -> Any:
    return {"method": method, "path": path, "auth": "client", **more}


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (case("pubsub_payload", {}), "needs Pub/Sub"),
        (case("http", http("POST", "/stripe_from_pubsub?pubsub_client=x")), "needs Pub/Sub"),
        (case("http", http("PUT", "/ctms/someone")), "needs PUT /ctms/…, which does not exist"),
        (case("http", http("DELETE", "/ctms/someone"), {"status": 200}), "needs DELETE /ctms/…, which"),
        (case("http", http("GET", "/identities?primary_email=someone")), "needs GET /identities, which"),
        (case("acoustic_sync_cycle", {"settings": {"batch_limit": 2}}), "sets batch_limit"),
        (
            case("acoustic_sync_cycle", {}, {"acoustic_requests": [{"call": "x", "table_id": "9"}]}),
            "expects the newsletter table",
        ),
        (case("sql", "drop table emails"), "no translation of: drop table"),
        (case("dance", {}), "needs the unknown action dance"),
        (Case("case", [], [], [], [], {}), "no steps"),
    ],
)
def test_what_cannot_be_run_is_skipped_with_its_reason(one: Case, why: str) -> None:
    assert (reason(one) or "").startswith(why)


@pytest.mark.parametrize(
    "one",
    [
        case("http", http("POST", "/stripe")),
        case("http", http("PATCH", "/ctms/someone")),
        case("http", http("POST", "/token")),
        case("http", http("DELETE", "/ctms/someone"), {"status": 405}),
        case("http", http("GET", "/nowhere"), {"status": 404}),
        case("sql", "delete from pending_acoustic"),
        case("acoustic_sync_cycle", {"mock_responses": [{"raise": "Timeout"}]}),
    ],
)
def test_what_can_be_run_is_run(one: Case) -> None:
    assert reason(one) is None


def test_who_is_given_up_at_ctms_is_never_given_up_here() -> None:
    insert = (
        "insert into pending_acoustic(email_id,retry,create_timestamp,update_timestamp)"
        " values ('332de237-cab7-4461-bcc3-48e68f42bd5c',{},now(),now()-interval '3 hours')"
    )
    assert why_not(insert.format(4)) is None
    assert "given up" in (why_not(insert.format(5)) or "")
