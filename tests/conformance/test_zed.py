"""The pure parts of running Zed's cases: calls in short, what is read of a case, what is skipped."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.conformance import deviations
from tests.conformance.case import CaseError
from tests.conformance.verdict import Notes
from tests.conformance.zed import case
from tests.conformance.zed.calls import MORE, Call, differ, form, read
from tests.conformance.zed.case import User
from tests.conformance.zed.skips import reason

NAMES = {"cus_1": "cus_real", "sub_1": "sub_real"}
CHECKOUT = (
    "POST /v1/checkout/sessions {mode:subscription, customer:<new id>,"
    " line_items:[{price:<configured>,quantity:1}], success_url:https://example.com/?a=b, ...}"
)


def test_a_call_is_read_from_its_short_form() -> None:
    call = read(CHECKOUT)
    assert (call.method, call.path) == ("POST", "/v1/checkout/sessions")
    assert call.params == {
        "mode": "subscription",
        "customer": "<new id>",
        "line_items": [{"price": "<configured>", "quantity": "1"}],
        "success_url": "https://example.com/?a=b",
        MORE: True,
    }
    assert read("POST /v1/customers") == Call("POST", "/v1/customers", {MORE: True})
    assert read("POST /v1/x {customer:cus_1,...}").params == {"customer": "cus_1", MORE: True}
    assert read("POST /v1/x {customer:cus_1}").params == {"customer": "cus_1"}


@pytest.mark.parametrize(
    "line", ["", "POST", "post /v1/x", "PSOT /v1/x", "POST /v1/x {a", "POST /v1/x {a:b", "POST /v1/x {a:b} c"]
)
def test_what_is_no_call_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="no "):
        read(line)


def test_a_form_is_read_as_it_nests() -> None:
    assert form("a[b]=1&items[0][price]=p&items[1][price]=q&expand[]=x&c=") == {
        "a": {"b": "1"},
        "items": [{"price": "p"}, {"price": "q"}],
        "expand": ["x"],
        "c": "",
    }
    assert form("") == {}


def ours(path: str, *, made: str = "", **params: Any) -> Call:
    return Call("POST", path, params, {"id": made})


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("POST /v1/x {customer:cus_1, ...}", ours("/v1/x", customer="cus_real", more="1")),
        ("POST /v1/customers {email:a}", ours("/v1/customers", email="a", metadata={"a": "b"})),
        ("POST /v1/x/sub_1 {a:<configured>}", ours("/v1/x/sub_real", a="anything")),
        ("POST /v1/x {a:[{b:1, ...}]}", ours("/v1/x", a=[{"b": "1", "c": "2"}])),
        ("POST /v1/x", ours("/v1/x", a="1")),
    ],
)
def test_calls_are_compared_by_what_is_expected_of_them(line: str, call: Call) -> None:
    assert differ([read(line)], [call], NAMES, Notes()) is None


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("POST /v1/x {customer:cus_1}", ours("/v1/x", customer="cus_1")),
        ("POST /v1/x {customer:cus_1}", ours("/v1/x", customer="cus_real", more="1")),
        ("POST /v1/x {customer:cus_1}", ours("/v1/x", customer="cus_real", metadata={"a": "b"})),
        ("POST /v1/x {a:[{b:1}]}", ours("/v1/x", a=[{"b": "1", "c": "2"}])),
        ("POST /v1/x {a:{b:1}, ...}", ours("/v1/x", a={"b": "1", "c": "2"})),
        ("POST /v1/x {customer:cus_1}", ours("/v1/x")),
        ("POST /v1/x/sub_1", ours("/v1/x/sub_1")),
        ("POST /v1/x {a:<configured>}", ours("/v1/x", a="")),
        ("POST /v1/x {a:<new id>}", ours("/v1/x", a="cus_other", made="x_1")),
        ("POST /v1/x {a:[{b:1}]}", ours("/v1/x", a=[{"b": "1"}, {"b": "1"}])),
        ("POST /v1/x {a:[{b:1}]}", ours("/v1/x", a="1")),
        ("POST /v1/x {a:{b:1}}", ours("/v1/x", a="1")),
        ("GET /v1/x", ours("/v1/x")),
    ],
)
def test_a_call_that_is_another_one_is_a_difference(line: str, call: Call) -> None:
    assert differ([read(line)], [call], NAMES, Notes()) is not None


def test_a_new_id_is_one_that_a_call_before_gave() -> None:
    made = [ours("/v1/customers", made="cus_new"), ours("/v1/x", customer="cus_new")]
    calls = [read("POST /v1/customers"), read("POST /v1/x {customer:<new id>}")]
    assert differ(calls, made, {}, Notes()) is None
    assert differ(calls[:1], made, {}, Notes()) is not None
    assert differ(calls[::-1], made[::-1], {}, Notes()) is not None
    assert differ(calls, [*made, made[1]], {}, Notes()) is not None


def test_further_parameters_are_listed() -> None:
    notes = Notes()
    sent = ours("/v1/customers", email="a", metadata={"a": "b"})
    assert differ([read("POST /v1/customers {email:a}")], [sent], {}, notes) is None
    assert notes.documented == ["/v1/customers gets metadata too"]
    assert all(deviations.ZED_PARAMETERS.values())


def checkout(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    given = {"endpoint": "POST /billing/subscriptions", "auth": "admin token", **more}
    return {"area": "zed_http", "kind": "http", "given": given, "table": [*rows]}


def test_who_is_there_is_who_is_named_and_of_whom_a_state_is_told() -> None:
    named = {"user": {"email": "a@example.com", "github_login": "octo"}, "body": {"github_user_id": 1}}
    told = {"query": {"github_user_id": 2}, "overdue": True}
    asked = {"body": {"github_user_id": 3}, "billing_customer": None}
    found = case.read(
        "x", checkout(named, told, asked, users=[{"email": "d@example.com", "github_user_id": 4}])
    )
    assert found.users == {
        1: User("a@example.com", "octo"),
        2: User("user-2@example.com", "user-2"),
        4: User("d@example.com", "user-4"),
    }


def test_what_is_given_holds_for_every_row_that_says_nothing_else() -> None:
    rows = case.read("x", checkout({"overdue": False}, {}, overdue=True, billing_customer="cus_1")).rows
    assert [row.content["overdue"] for row in rows] == [False, True]
    assert [row.content["billing_customer"] for row in rows] == ["cus_1", "cus_1"]


def test_what_is_given_for_every_row_is_told_of_the_first_rows_user() -> None:
    bodies = [{"body": {"github_user_id": number}} for number in (1, 2)]
    assert case.read("x", checkout(*bodies, billing_customer="cus_1")).users.keys() == {1}
    assert case.read("x", checkout(*bodies)).users.keys() == set()


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, []),
        ({"active_subscription": True}, [{"status": "active"}]),
        ({"active_subscriptions": 2}, [{"status": "active"}] * 2),
        ({"overdue": True}, [{"status": "past_due"}]),
        ({"billing_subscriptions": ["sub_1"]}, [{"stripe_subscription_id": "sub_1"}]),
        ({"subscriptions": [{"id": 1}], "overdue": True}, [{"id": 1}]),
    ],
)
def test_subscriptions_are_told_in_several_ways(row: dict[str, Any], expected: list[Any]) -> None:
    assert case.subscriptions_of(row) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, "token ours"),
        ({"auth": "admin token"}, "token ours"),
        ({"auth": "none"}, None),
        ({"authorization": None}, None),
        ({"header": "token <api_token>"}, "token ours"),
        ({"header": "Bearer <api_token>", "auth": "admin token"}, "Bearer ours"),
        ({"authorization": "<api_token>"}, "ours"),
        ({"authorization": "token wrong"}, "token wrong"),
        ({"authorization": "Basic x"}, "Basic x"),
    ],
)
def test_credentials_are_sent_as_the_case_has_them(row: dict[str, Any], expected: str | None) -> None:
    assert case.authorization_of(row, "ours") == expected


def test_a_row_without_a_request_is_no_case() -> None:
    with pytest.raises(CaseError):
        case.read("x", {"area": "zed_http", "kind": "http", "table": [{"body": {}}]})


SKIPPED: list[tuple[dict[str, Any], str]] = [
    (
        {"area": "fabric_workers", "kind": "table", "table": [{"job": ["create_card"]}]},
        "billing has no operation",
    ),
    (
        {
            "area": "fabric_webhooks",
            "kind": "webhook",
            "steps": [{"deliver": {"data": {"object": {"id": "sub_1", "object": "subscription"}}}}],
        },
        "ingest cannot read sub_1",
    ),
    ({"area": "zulip_analytics", "kind": "http"}, "it needs POST /api/v1/remotes/server/analytics"),
    ({"area": "zulip_ledger", "kind": "scenario"}, "it needs a ledger of licences"),
    ({"area": "zed_events", "kind": "scenario", "steps": [{"op": "poll"}]}, "it needs the poll of Stripe's"),
    (checkout({"body": {}}, endpoint="POST /billing/moon"), "POST /billing/moon does not exist"),
]


@pytest.mark.parametrize(("content", "why"), SKIPPED)
def test_what_cannot_be_run_is_skipped_with_its_reason(content: dict[str, Any], why: str) -> None:
    assert (reason(content) or "").startswith(f"no part can run: {why}")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"area": "moon", "kind": "http"}, "unknown area moon"),
        ({"area": "zed_events", "kind": "scenario", "steps": [{"op": "dance"}]}, "unknown step dance"),
        ({"area": "zed_events", "kind": "table", "table": [{"a": 1}]}, "unknown member table[0].a"),
        ({"area": "zed_http", "kind": "http"}, "no rows and no steps"),
        ({"area": "zulip_ledger", "kind": "scenario", "more": 1}, "unknown member more"),
        (checkout({"body": {}, "moon": "full"}), "unknown member table[0].moon"),
        (checkout({"body": {}, "statuss": 200}), "unknown member table[0].statuss"),
        (checkout({"body": {}, "user": {"mail": "a"}}), "unknown member table[0].user.mail"),
        (
            checkout({"body": {}, "subscriptions": [{"moon": 1}]}),
            "unknown member table[0].subscriptions.moon",
        ),
        (checkout({"body": {}, "expect": {"calls": []}}), "unknown member table[0].expect.calls"),
        (checkout({"body": {}, "expect": {"stripe_calls": ["a call"]}}), "unknown form of a call"),
        (checkout({"body": {}}, moons=[]), "unknown member given.moons"),
        (checkout({"stripe": "active", "local": "active", "cancelabel": True}), "unknown member table[0]."),
    ],
)
def test_what_is_unknown_makes_it_no_case(content: dict[str, Any], why: str) -> None:
    with pytest.raises(CaseError, match=re.escape(f"no case file: {why}")):
        reason(content)


def test_what_can_be_run_is_run() -> None:
    own = {"request": "POST /billing/subscriptions", "body": {}, "status": 422}
    assert reason({"area": "zed_http", "kind": "http", "table": [own]}) is None
    assert reason(checkout({"body": {}, "status": 422})) is None
    assert (
        reason({"area": "zed_http", "kind": "http", "steps": [{"request": "GET /billing/subscriptions"}]})
        is None
    )
    statuses = [{"stripe": "active", "local": "active", "cancelable": True, "active_seed": True}]
    assert reason({"area": "zed_subscriptions", "kind": "table", "table": statuses}) is None


def test_an_answer_deviates_only_as_it_is_listed() -> None:
    assert deviations.answered_instead(500, "user not found", 404, "user not found")
    assert deviations.answered_instead(500, "user not found", 404, "nobody") is None
    assert deviations.answered_instead(500, "user not found", 409, "user not found") is None
    assert deviations.answered_instead(500, None, 404, "user not found") is None
    for detail in ("Not authenticated", "Could not validate credentials"):
        assert deviations.answered_instead(400, "invalid authorization header", 401, detail)
    assert deviations.answered_instead(400, "missing authorization header", 401, detail) is None
    assert all(ours.reason for _, ours in deviations.ZED_ANSWERS)


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "conformance.md"


def test_page_lists_every_deviation_and_no_other() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows_of = {
        "What the runner allows": {
            (one.theirs, one.ours, one.reason) for one in deviations.DEVIATIONS.values()
        },
        "Further parameters": {
            (f"`{path}`", f"`{name}`", why) for (path, name), why in deviations.ZED_PARAMETERS.items()
        },
    }
    for table, rows in rows_of.items():
        section = page.partition(f"## {table}\n")[2].partition("\n#")[0]
        lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
        assert {tuple(line.strip("| ").split(" | ")) for line in lines} == rows


def test_page_lists_every_answer_in_place_of_zeds_and_no_other() -> None:
    page = PAGE.read_text(encoding="utf-8")
    listed = re.findall(r"\| (\d{3}) `([^`]+)` \| (\d{3}) `([^`]+)` \|", page)
    assert {((int(one[0]), one[1]), (int(one[2]), one[3])) for one in listed} == {
        (theirs, (ours.status, ours.detail)) for theirs, ours in deviations.ZED_ANSWERS
    }
