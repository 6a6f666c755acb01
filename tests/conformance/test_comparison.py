"""The pure comparisons: whatever a case does not expect is a difference, and so is whatever is absent."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.conformance.comparison import differs, rows_differ
from tests.conformance.ctms.answers import Answer, answer_differs
from tests.conformance.ctms.mirror import Mirror
from tests.conformance.ctms.payloads import Payloads
from tests.conformance.ctms.requests import wire
from tests.conformance.deviations import DEVIATIONS
from tests.conformance.verdict import Notes

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
CREATED = datetime(2021, 10, 25, 15, 34, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({"a": 1}, {"a": 1}),
        ({"a": [{"b": None}]}, {"a": [{"b": None}]}),
        ("<NOW>", "2024-05-06T07:01:00+00:00"),
        ("<TODAY YYYY-MM-DD>", "2024-05-06"),
        ("<NOW MM/DD/YYYY HH:MM:SS>", "05/06/2024 07:08:00"),
        ("<int>", 3),
        ("<any>", None),
        ("<JWT>", "a-b.c_d.e"),
        ("<b>text</b>", "<b>text</b>"),
    ],
)
def test_equal_values_are_no_difference(expected: Any, actual: Any) -> None:
    assert differs(expected, actual, NOW) is None


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({"a": 1}, {}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}]}),
        ({}, {"a": None}),
        ({"a": None}, {}),
        ({"a": {"b": 1}}, {"a": {"b": 2}}),
        ([1], [1, 2]),
        ([1, 2], [2, 1]),
        ([1, 1], [1]),
        (1, True),
        (0, False),
        (None, ""),
        ("1", 1),
        ("2021-09-27T00:00:00+00:00", "2021-09-27T02:00:00+02:00"),
        ("<NOW>", "2024-05-06T06:01:00+00:00"),
        ("<NOW>", None),
        ("<TODAY YYYY-MM-DD>", "2024-05-07"),
        ("<TODAY YYYY-MM-DD>", "2024-05-04"),
        ("<NOW MM/DD/YYYY HH:MM:SS>", "05/06/2024 05:08:00"),
        ("<int>", "3"),
        ("<int>", True),
        ("<JWT>", "abc"),
        ("<no placeholder>", "anything"),
    ],
)
def test_stray_absent_or_other_values_are_a_difference(expected: Any, actual: Any) -> None:
    assert differs(expected, actual, NOW) is not None


def test_the_first_difference_says_where_it_is() -> None:
    found = differs({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1, "c": 3}]}, NOW, "body")
    assert found == "body.a[0].c: 2 expected, 3 found"


def test_rows_in_another_order_are_equal_but_absent_stray_and_double_rows_are_not() -> None:
    rows = [{"id": "a", "x": 1}, {"id": "b", "x": 2}]
    assert rows_differ(rows, rows[::-1], "id", NOW) is None
    assert rows_differ(rows, rows[:1], "id", NOW) == "id b is absent"
    assert rows_differ(rows[:1], rows, "id", NOW) == "id b is too much"
    assert rows_differ(rows[:1], [*rows[:1], *rows[:1]], "id", NOW) == "id comes more than once"
    assert rows_differ([*rows[:1], *rows[:1]], rows[:1], "id", NOW) == "id is expected more than once"


def answer(status: int, body: Any, path: str = "/ctms", **headers: str) -> Answer:
    return Answer(path, status, body, headers)


def problem(status: int, title: str, detail: str, **more: Any) -> Answer:
    return answer(status, {"type": "about:blank", "title": title, "status": status, "detail": detail, **more})


def compare(expected: Any, found: Answer) -> str | None:
    return answer_differs(expected, found, NOW, Notes())


def test_right_body_with_another_status_is_a_difference() -> None:
    assert compare({"status": 201, "json": {}}, answer(200, {})) is not None
    assert compare({"json": {"a": 1}}, answer(200, {"a": 2})) == "body.a: 1 expected, 2 found"


def test_headers_that_a_case_does_not_give_are_a_difference() -> None:
    found = answer(201, {}, location="/ctms/1")
    assert compare({"status": 201, "json": {}, "location": "/ctms/1"}, found) is None
    assert compare({"status": 201, "json": {}, "location": "/ctms/2"}, found) is not None
    assert compare({"status": 201, "json": {}}, found) is not None
    assert compare({"status": 201, "json": {}, "location": "/ctms/1"}, answer(201, {})) is not None


def test_stray_or_wrong_member_of_an_error_is_a_difference() -> None:
    expected = {"status": 409, "json": {"detail": "Contact already exists"}}
    assert compare(expected, problem(409, "Conflict", "Contact already exists")) is None
    assert compare(expected, problem(409, "Conflict", "Contact already exists", hint="x")) is not None
    assert compare(expected, problem(409, "Gone", "Contact already exists")) is not None
    assert compare(expected, problem(409, "Conflict", "other")) is not None
    assert compare(expected, answer(409, {"detail": "Contact already exists"})) is not None
    assert compare(expected, answer(409, "Contact already exists")) is not None


def test_a_crash_may_be_a_refusal_in_the_references_words_alone() -> None:
    text = "Unable to process Stripe object."
    assert (
        compare({"status": 500}, Answer("/stripe", 400, problem(400, "Bad Request", text).body, {})) is None
    )
    assert (
        compare({"status": 500}, Answer("/stripe", 400, problem(400, "Bad Request", "no").body, {}))
        is not None
    )
    assert compare({"status": 500}, problem(400, "Bad Request", text)) is not None


def test_places_of_a_refusal_are_equal_on_both_sides() -> None:
    expected = {"status": 422, "json": {"detail": [{"loc": ["body", "email"], "msg": "theirs"}]}}
    place, other = {"loc": ["body", "email"], "msg": "ours"}, {"loc": ["body", "fxa"]}
    assert compare(expected, problem(422, "Unprocessable Entity", "x", errors=[place])) is None
    assert compare(expected, problem(422, "Unprocessable Entity", "x", errors=[other])) is not None
    assert "too much" in (
        compare(expected, problem(422, "Unprocessable Entity", "x", errors=[place, other])) or ""
    )


def test_other_member_beside_the_refused_fields_is_a_difference() -> None:
    expected = {"status": 422, "json": {"detail": [{"loc": ["body"]}], "more": 1}}
    found = problem(422, "Unprocessable Entity", "x", errors=[{"loc": ["body"]}])
    assert compare(expected, found) == "body.more is absent"


def test_only_a_token_may_have_a_scope() -> None:
    token = {"access_token": "a.b.c", "scope": "contacts:read"}
    expected = {"status": 200, "json": {"access_token": "<JWT>"}}
    assert compare(expected, answer(200, token, "/token")) is None
    assert compare(expected, answer(200, token)) == "body.scope is stray"
    assert compare(expected, answer(200, {**token, "more": 1}, "/token")) == "body.more is stray"


def test_a_body_that_the_case_does_not_give_is_noted() -> None:
    notes = Notes()
    assert answer_differs({"status": 200}, answer(200, {"a": 1}), NOW, notes) is None
    assert "not compared: the body of /ctms (not in the case)" in notes.text()


def customer(**changes: Any) -> dict[str, Any]:
    return {
        "id": "cus_1",
        "object": "customer",
        "created": 1635176040,
        "description": "owner",
        "default_source": None,
        "invoice_settings": {"default_payment_method": None},
        **changes,
    }


def row(**changes: Any) -> dict[str, Any]:
    return {
        "stripe_id": "cus_1",
        "fxa_id": "owner",
        "default_source_id": None,
        "invoice_settings_default_payment_method_id": None,
        "stripe_created": "2021-10-25T15:34:00+00:00",
        "deleted": False,
        **changes,
    }


def ours(**changes: Any) -> dict[str, Any]:
    return row(**{"stripe_created": CREATED, **changes})


def customers_differ(expected: list[Any], found: list[Any], sent: list[Any]) -> str | None:
    payloads = Payloads()
    payloads.add(sent)
    return Mirror(payloads, Notes(), NOW).table_differs("stripe_customer", expected, found)


OTHER = datetime(2020, 1, 1, tzinfo=UTC)


def test_wrong_created_of_a_customer_is_a_difference() -> None:
    assert customers_differ([row()], [ours()], [customer()]) is None
    assert customers_differ([row()], [ours(stripe_created=OTHER)], [customer()]) is not None
    again = [customer(), customer(created=1577836800)]
    assert customers_differ([row()], [ours(stripe_created=OTHER)], again) is None
    assert customers_differ([row()], [ours(stripe_created=NOW)], again) is not None


def test_stray_customer_is_a_difference_unless_it_lost_its_owner() -> None:
    stray = ours(stripe_id="cus_0")
    sent = [customer(id="cus_0"), customer()]
    assert customers_differ([row()], [ours(), stray], sent) is None
    assert customers_differ([row()], [ours(), {**stray, "fxa_id": "else"}], sent) is not None
    assert customers_differ([row()], [ours(), {**stray, "default_source_id": "card"}], sent) is not None
    assert customers_differ([row()], [ours(), stray], [customer()]) is not None
    assert customers_differ([row()], [], sent) is not None


def test_deleted_may_differ_only_where_a_customer_came_whole_again() -> None:
    gone = {"id": "cus_1", "object": "customer", "deleted": True}
    expected = [row(deleted=True)]
    assert customers_differ(expected, [ours()], [customer(), gone, customer()]) is None
    assert customers_differ(expected, [ours()], [customer(), gone]) is not None
    assert customers_differ([row()], [ours(deleted=True)], [customer(), gone, customer()]) is not None


def test_currency_may_differ_in_case_only_after_an_update() -> None:
    def prices(theirs: str, ours: str, *spelled: str) -> str | None:
        payloads = Payloads()
        payloads.add({"id": "price_1", "object": "price", "currency": one} for one in spelled)
        expected, found = ([{"stripe_id": "price_1", "currency": one}] for one in (theirs, ours))
        return Mirror(payloads, Notes(), NOW).table_differs("stripe_price", expected, found)

    assert prices("usd", "usd", "USD") is None
    assert prices("USD", "usd", "usd", "USD") is None
    assert prices("USD", "usd", "USD") is not None
    assert prices("usd", "USD", "usd", "USD") is not None
    assert prices("EUR", "usd", "usd", "EUR") is not None


def test_period_of_a_subscription_without_items_is_the_payloads() -> None:
    def differ(end: str) -> str | None:
        payloads, period = Payloads(), {"current_period_end": 1635176040}
        payloads.add([{"id": "sub_1", "object": "subscription", "items": {"data": []}, **period}])
        expected = [{"stripe_id": "sub_1", "current_period_end": end}]
        found = [{"stripe_id": "sub_1", "current_period_end": None}]
        return Mirror(payloads, Notes(), NOW).table_differs("stripe_subscription", expected, found)

    assert differ("2021-10-25T15:34:00+00:00") is None
    assert differ("2021-10-25T15:35:00+00:00") is not None


def test_time_of_a_product_is_sent_in_utc() -> None:
    assert wire("1", {"changed": "2021-10-25T15:34:00+00:00"})["changed"] == "10/25/2021 15:34:00"
    assert wire("1", {"changed": "2021-10-25T15:34:00+02:00"})["changed"] == "10/25/2021 13:34:00"


def test_columns_that_a_case_does_not_give_are_noted() -> None:
    payloads, notes = Payloads(), Notes()
    short = [{"stripe_id": "cus_1", "fxa_id": "owner"}]
    assert Mirror(payloads, notes, NOW).table_differs("stripe_customer", short, [ours()]) is None
    assert "stripe_customer.default_source_id, deleted" in notes.text()


def test_every_deviation_has_a_reason() -> None:
    assert all(one.theirs and one.ours and one.reason for one in DEVIATIONS.values())
    with pytest.raises(KeyError):
        Notes().deviate("undocumented")
