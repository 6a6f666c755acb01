"""Case files: unknown members and missing steps make them no cases, and each part left out has its reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conformance import guardian, run
from tests.conformance.case import CaseError
from tests.conformance.ctms import mirror
from tests.conformance.ctms.case import Case, Step, Table, read
from tests.conformance.ctms.parts import plan
from tests.conformance.verdict import FAILED, SKIPPED, Verdict

Edit = Callable[[Any], None]
CONTACT = "6f3f0c1e-7c0e-4d0e-9d1e-2b9c0a5d1f01"


def whole() -> Any:
    """Return a case that has every member which the tests below misspell."""
    return {
        "id": "case",
        "setup": {"contacts": [{"email": {"primary_email": "a@example.com"}}], "api_clients": []},
        "steps": [
            {
                "n": 0,
                "action": {"http": {"method": "GET", "path": "/ctms", "auth": "client"}},
                "expect": {"status": 200, "json": [], "log": {"client_allowed": True}},
            },
            {
                "n": 1,
                "action": {"acoustic_sync_cycle": {"mock_responses": [{"raise": "Timeout"}], "settings": {}}},
                "expect": {
                    "acoustic_requests": [{"call": "AddRecipient", "list_id": "1", "columns": {}}],
                    "cycle_context": {"count_total": 1},
                    "contact_logs": [{"email_id": CONTACT}],
                },
            },
        ],
        "final": {
            "products": {CONTACT: [{"product_id": "prod_1"}]},
            "pending_acoustic": [{"email_id": CONTACT, "retry": 0}],
            "stripe_rows": {"stripe_customer": [{"stripe_id": "cus_1"}]},
        },
    }


def prepared(content: Any, tmp_path: Path) -> Any:
    file = tmp_path / "case.json"
    file.write_text(json.dumps(content))
    return run.prepare(file)


def edited(*path: Any, value: Any = 1) -> Edit:
    def edit(case: Any) -> None:
        *inner, last = path
        for name in inner:
            case = case[name]
        case[last] = value

    return edit


UNKNOWN: dict[str, Edit] = {
    "stepz": edited("stepz"),
    "setup.contact": edited("setup", "contact"),
    "setup.contacts[0].emial": edited("setup", "contacts", 0, "emial", value={}),
    "setup.contacts[0].email.sfdc": edited("setup", "contacts", 0, "email", "sfdc"),
    "steps[0].expects": edited("steps", 0, "expects"),
    "steps[0].action.htp": edited("steps", 0, "action", value={"htp": {}}),
    "steps[0].action.http.jsn": edited("steps", 0, "action", "http", "jsn"),
    "steps[0].action.http.auth admin": edited("steps", 0, "action", "http", "auth", value="admin"),
    "steps[0].action.http.method GTE": edited("steps", 0, "action", "http", "method", value="GTE"),
    "steps[0].action.http.path /cmts": edited("steps", 0, "action", "http", "path", value="/cmts?a=b"),
    "steps[0].expect.statuss": edited("steps", 0, "expect", "statuss"),
    "steps[0].expect.acoustic_requests": edited("steps", 0, "expect", "acoustic_requests", value=[]),
    "steps[0].expect.log.client_alowed": edited("steps", 0, "expect", "log", "client_alowed"),
    "steps[1].action.acoustic_sync_cycle.setting": edited(
        "steps", 1, "action", "acoustic_sync_cycle", "setting"
    ),
    "steps[1].action.acoustic_sync_cycle.settings.limit": edited(
        "steps", 1, "action", "acoustic_sync_cycle", "settings", "limit"
    ),
    "steps[1].action.acoustic_sync_cycle.mock_responses.raise TimeOut": edited(
        "steps", 1, "action", "acoustic_sync_cycle", "mock_responses", 0, "raise", value="TimeOut"
    ),
    "steps[1].expect.status": edited("steps", 1, "expect", "status"),
    "steps[1].expect.acoustic_requests[0].column": edited(
        "steps", 1, "expect", "acoustic_requests", 0, "column"
    ),
    "steps[1].expect.contact_logs[0].sucess": edited("steps", 1, "expect", "contact_logs", 0, "sucess"),
    "steps[1].expect.cycle_context.count": edited("steps", 1, "expect", "cycle_context", "count"),
    "final.product": edited("final", "product", value={}),
    "final.products.": edited("final", "products", CONTACT, 0, "price"),
    "final.pending_acoustic[0].retries": edited("final", "pending_acoustic", 0, "retries"),
    "final.stripe_rows.stripe_customers": edited("final", "stripe_rows", "stripe_customers", value=[]),
    "final.stripe_rows.stripe_customer.created": edited(
        "final", "stripe_rows", "stripe_customer", 0, "created"
    ),
}


def test_a_whole_case_is_one(tmp_path: Path) -> None:
    assert not isinstance(prepared(whole(), tmp_path), Verdict)


@pytest.mark.parametrize("where", UNKNOWN)
def test_unknown_member_anywhere_makes_it_no_case(where: str, tmp_path: Path) -> None:
    case = whole()
    UNKNOWN[where](case)
    verdict = prepared(case, tmp_path)
    assert isinstance(verdict, Verdict)
    assert verdict.outcome == FAILED
    assert f"unknown member {where}" in verdict.text


@pytest.mark.parametrize(
    "content",
    [
        {},
        [1],
        "text",
        {"id": "case", "steps": []},
        {"id": "case", "steps": None},
        {"id": "table", "cases": []},
        {"id": "case", "steps": [{}]},
        {"id": "case", "steps": [{"action": {"sql": "delete from pending_acoustic"}}]},
        {"id": "case", "steps": [{"action": {}}]},
        {"id": "case", "steps": [{"action": {"sql": "x", "http": {}}}]},
        {"id": "case", "steps": [{"n": 0, "action": {"sql": "x"}}, {"n": 0, "action": {"sql": "x"}}]},
        {"id": "e08_heartbeat", "cases": [], "case": []},
    ],
)
def test_content_of_no_known_form_fails(content: Any, tmp_path: Path) -> None:
    verdict = prepared(content, tmp_path)
    assert isinstance(verdict, Verdict)
    assert verdict.outcome == FAILED


def test_member_that_comes_twice_makes_it_no_case(tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    text = json.dumps(whole())
    file.write_text(text.replace('"final":', '"final": {}, "final":'))
    verdict = run.prepare(file)
    assert isinstance(verdict, Verdict)
    assert (verdict.outcome, "comes twice" in verdict.text) == (FAILED, True)


def case(*steps: Step, **more: Any) -> Case:
    given: dict[str, Any] = {"contacts": [], "api_clients": [], "sql_after_contacts": [], "final": {}}
    return Case("case", steps=list(steps), **{**given, **more})


def http(number: int, method: str, path: str, **expected: Any) -> Step:
    return Step(number, "http", {"method": method, "path": path, "auth": "client"}, expected)


def cycle(number: int, expected: Any = None, **action: Any) -> Step:
    return Step(number, "acoustic_sync_cycle", action, expected or {})


SERVED = http(0, "GET", "/ctms?email_id=x", status=200)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (http(1, "GET", "/identities?primary_email=x", status=200), "GET /identities does not exist"),
        (http(1, "GET", "/identity/x", status=404, json={"detail": "Unknown email_id"}), "GET /identity/…"),
        (http(1, "DELETE", "/ctms/x", status=404, json={"detail": "email x not found!"}), "DELETE /ctms/…"),
        (http(1, "POST", "/stripe_from_pubsub", status=202), "POST /stripe_from_pubsub does not exist"),
    ],
)
def test_step_without_effect_is_left_out_alone(step: Step, reason: str) -> None:
    planned = plan(case(SERVED, step, SERVED))
    assert planned.steps == [SERVED, SERVED]
    assert planned.whole
    assert planned.not_run[0].startswith(f"steps 1: {reason}")


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (http(1, "PUT", "/ctms/x", status=201), "PUT /ctms/… does not exist"),
        (Step(1, "sql", "drop table emails", {}), "no translation of: drop table"),
        (
            cycle(
                1,
                {"acoustic_requests": [{"table_id": "9", "call": "x", "rows": []}]},
                mock_responses=[{"raise": "Timeout"}],
            ),
            "the newsletter table, which is not sent, has to fail",
        ),
    ],
)
def test_step_whose_effect_is_needed_ends_the_case(step: Step, reason: str) -> None:
    planned = plan(case(SERVED, step, SERVED))
    assert planned.steps == [SERVED]
    assert not planned.whole
    assert planned.not_run[0].startswith(f"steps 1 and later: {reason}")


@pytest.mark.parametrize(
    "step",
    [
        http(1, "DELETE", "/ctms/x", status=405),
        http(1, "GET", "/nowhere", status=404, json={"detail": "Not Found"}),
        http(1, "POST", "/token", status=200),
        Step(1, "pubsub_payload", {}, {"status": 200}),
        Step(1, "sql", "delete from pending_acoustic", {}),
        cycle(1, mock_responses=[{"raise": "ConnectionError"}], settings={"batch_limit": 2}),
        cycle(1, {"acoustic_requests": [{"table_id": "9", "call": "x", "rows": []}]}, mock_responses=[{}]),
    ],
)
def test_everything_that_can_run_runs(step: Step) -> None:
    planned = plan(case(step))
    assert (planned.steps, planned.not_run, planned.whole) == ([step], [], True)


def test_a_case_with_acoustic_switched_off_gets_its_own_stage() -> None:
    off = cycle(0, settings={"is_acoustic_enabled": False})
    assert plan(case(off, off)).settings == {"CTMS_ACOUSTIC_INTEGRATION_FEATURE_FLAG": "0"}
    assert plan(case(cycle(0))).settings == {}
    mixed = plan(case(cycle(0), off))
    assert (len(mixed.steps), mixed.whole) == (1, False)


def test_a_case_of_which_nothing_runs_is_skipped_with_the_reason(tmp_path: Path) -> None:
    content = whole()
    content["steps"] = [{"action": {"http": {"method": "GET", "path": "/updates"}}}]
    verdict = prepared(content, tmp_path)
    assert verdict == Verdict(SKIPPED, "no part can run: steps 0: GET /updates does not exist")


def test_tables_of_examples_are_known_by_their_ids() -> None:
    table = read("x", {"id": "d13_loop_and_sleep", "cases": [{"count_total": 0}]})
    assert isinstance(table, Table)
    assert table.kind == "d13"


def test_a_table_is_skipped_only_for_a_setting_that_does_not_exist(tmp_path: Path) -> None:
    verdict = prepared({"id": "d13_loop_and_sleep", "cases": []}, tmp_path)
    assert verdict == Verdict(SKIPPED, "no part can run: sync has no CTMS_ACOUSTIC_LOOP_MIN_SECS")
    assert not isinstance(
        prepared({"id": "d15_value_conversions", "fxa_created_date": []}, tmp_path), Verdict
    )


def test_guardians_cases_are_skipped_for_what_does_not_exist() -> None:
    one = {"provenance": "x", "cases": [{"when": {"http": {"method": "POST", "path": "/apple/pubsub"}}}]}
    assert guardian.is_one(one)
    assert guardian.reason(one) == "no part can run: POST /apple/pubsub does not exist"
    assert guardian.reason({**one, "another_key_pem": "x"}).startswith("no part can run")
    with pytest.raises(CaseError, match="no cases"):
        guardian.reason({**one, "cases": []})
    served = {"provenance": "x", "cases": [{"when": {"http": {"method": "GET", "path": "/ctms"}}}]}
    with pytest.raises(CaseError, match="cannot run"):
        guardian.reason(served)


def test_rows_of_unknown_tables_are_no_case() -> None:
    mirror.check({name: [dict.fromkeys(table.columns)] for name, table in mirror.TABLES.items()})
    with pytest.raises(CaseError, match="stripe_invoices"):
        mirror.check({"stripe_invoices": []})
