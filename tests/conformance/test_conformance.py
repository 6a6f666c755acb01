"""The runner: what holds passes, what does not fails with its first difference, and the sum is right."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OWN = ROOT / "tests" / "conformance" / "cases"
VECTORS = ROOT.parent / "shared" / "vectors"
REFERENCE = VECTORS / "ctms"
ZED = VECTORS / "zed-fabric-zulip"
"""The references' cases, where somebody has them: they are not part of this repository."""

PATIENCE_SECONDS = 600
PROBLEMS = "as documented: an error has `type`, `title` and `status` too"
_LINE = re.compile(r"(passed|failed|skipped) +([\w.-]+)(?:: (.*))?")
Edit = Callable[[Any], None]


@dataclass(frozen=True)
class Run:
    """What a run of the command said."""

    code: int
    verdicts: Mapping[str, tuple[str, str]]
    last_line: str


async def run(*paths: Path) -> Run:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.conformance", *map(str, paths)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, errors = await child.communicate()
    *lines, last_line = output.decode().splitlines() or [errors.decode()[-500:]]
    matches = [match for line in lines if (match := _LINE.fullmatch(line))]
    verdicts = {match[2]: (match[1], match[3] or "") for match in matches}
    return Run(child.returncode or 0, verdicts, last_line)


def _pop_product(case: Any) -> None:
    next(iter(case["final"]["products"].values())).pop()


def _other_amount(case: Any) -> None:
    next(iter(case["final"]["products"].values()))[0]["amount"] = 998


def _no_products(case: Any) -> None:
    (contact,) = case["final"]["products"]
    case["final"]["products"][contact] = []


def _stray_contact(case: Any) -> None:
    case["final"]["products"]["6f3f0c1e-7c0e-4d0e-9d1e-2b9c0a5d1f99"] = []


def _other_created(case: Any) -> None:
    (customer,) = case["final"]["stripe_rows"]["stripe_customer"]
    customer["stripe_created"] = "2021-10-25T15:34:01+00:00"


def _expect(number: int, name: str, value: Any) -> Edit:
    def edit(case: Any) -> None:
        del case["steps"][number + 1 :]
        case["steps"][number]["expect"][name] = value

    return edit


def _final(name: str, value: Any) -> Edit:
    return lambda case: case["final"].update({name: value})


def _other_column(case: Any) -> None:
    del case["steps"][6:]
    case["steps"][5]["expect"]["acoustic_requests"][0]["columns"]["sub_hubs"] = "1"


def _forgotten(case: Any) -> None:
    (email_id,) = case["final"]["products"]
    forget = {"sql": f"delete from pending_acoustic where email_id = '{email_id}'"}
    case["steps"][2:] = [{"n": 2, "action": forget}]


def _row(number: int, name: str, value: Any) -> Edit:
    def edit(case: Any) -> None:
        rows = case.get("table") or case["steps"]
        rows[number - 1][name] = value
        del rows[number:]

    return edit


def _row_expect(number: int, name: str, value: Any) -> Edit:
    def edit(case: Any) -> None:
        rows = case.get("table") or case["steps"]
        rows[number - 1]["expect"][name] = value
        del rows[number:]

    return edit


WRONG: dict[str, tuple[str, Edit, str]] = {
    "wrong_status": ("stripe_objects", _expect(0, "status", 201), "step 0: status 201 expected, 200 found"),
    "wrong_rows_sent": ("stripe_objects", _expect(3, "product_rows", []), "step 3: key .* is too much"),
    "wrong_product": ("stripe_objects", _other_amount, "products: .*amount: '998' expected, '999' found"),
    "wrong_products": ("stripe_objects", _pop_product, "products: .* is too much"),
    "no_products": ("stripe_objects", _no_products, "products: calls .* found"),
    "no_contact": ("stripe_objects", _final("products", {}), "products: contact .* is too much"),
    "stray_contact": ("stripe_objects", _stray_contact, "products: contact .* is absent"),
    "wrong_created": ("stripe_objects", _other_created, "stripe_rows: stripe_customer: .*stripe_created: "),
    "misspelt": ("stripe_objects", _expect(0, "jsn", {}), r"no case file: unknown member steps\[0\]"),
    "wrong_pending": ("stripe_objects", _final("pending_acoustic", []), "pending_acoustic: .* is too much"),
    "wrong_forgotten": ("stripe_objects", _forgotten, "pending_acoustic: .* is absent, though something"),
    "wrong_stripe_rows": (
        "stripe_objects",
        _final("stripe_rows", {}),
        "stripe_rows: stripe_customer: .* too much",
    ),
    "wrong_row_status": ("zed_manage", _row(1, "status", 201), "row 1: 201 expected, 200 .* found"),
    "wrong_text": ("zed_manage", _row(3, "msg", "no such thing"), "row 3: 500 no such thing expected, 404"),
    "wrong_calls": (
        "zed_checkout",
        _row_expect(1, "stripe_calls", []),
        r"row 1: calls to Stripe: \[\] expected, \['POST /v1/customers', 'POST /v1/checkout",
    ),
    "wrong_param": (
        "zed_manage",
        _row_expect(1, "stripe_calls", ["POST /v1/billing_portal/sessions {customer:cus_b, ...}"]),
        "row 1: calls to Stripe: .* customer: 'cus_b' expected, 'cus_",
    ),
    "stray_param": (
        "zed_manage",
        _row_expect(1, "stripe_calls", ["POST /v1/billing_portal/sessions {customer:cus_a}"]),
        "row 1: calls to Stripe: .* flow_data is stray",
    ),
    "wrong_keys": (
        "zed_checkout",
        _row_expect(1, "response_keys", ["url"]),
        "row 1: body.checkout_session_url is stray",
    ),
    "wrong_body": (
        "zed_listing",
        _row_expect(1, "response", {"subscriptions": []}),
        "row 1: body.subscriptions: 0 entries expected, 3 found",
    ),
    "wrong_cancelable": ("zed_statuses", _row(1, "cancelable", False), "row 1: .*is_cancelable: False exp"),
    "wrong_active": (
        "zed_statuses",
        _row(1, "active_shipped", False),
        "row 1: trialing: buying answered 409",
    ),
    "wrong_request": ("acoustic_faults", _other_column, r"step 5: requests of .*sub_hubs: '1' expected"),
}
"""Cases that expect what does not hold: of which case, changed how, and what must be said."""


def _write_wrong(folder: Path) -> None:
    for name, (source, edit, _) in WRONG.items():
        case = json.loads((OWN / f"{source}.json").read_text())
        edit(case)
        (folder / f"{name}.json").write_text(json.dumps(case))
    (folder / "wrong_file.json").write_text("[1]")


@pytest.fixture(scope="module")
async def played(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("wrong")
    _write_wrong(folder)
    return await run(OWN, *(path for path in (REFERENCE, ZED) if path.is_dir()), folder)


def test_our_own_cases_hold(played: Run) -> None:
    verdicts = {file.stem: played.verdicts.get(file.stem) for file in OWN.glob("*.json")}
    assert verdicts
    texts = {name: verdict[1] for name, verdict in verdicts.items() if verdict and verdict[0] == "passed"}
    assert texts.keys() == verdicts.keys()
    of_ctms = [text for name, text in texts.items() if not name.startswith("zed")]
    assert [text for text in of_ctms if "not compared" in text or "not run" in text] == []


@pytest.mark.parametrize("name", WRONG)
def test_a_case_that_does_not_hold_fails_with_the_first_difference(played: Run, name: str) -> None:
    outcome, text = played.verdicts[name]
    assert outcome == "failed"
    assert re.match(WRONG[name][2], text), text


def test_what_is_no_case_fails(played: Run) -> None:
    assert played.verdicts["wrong_file"][0] == "failed"


def test_the_last_line_counts_and_a_failure_is_the_exit_code(played: Run) -> None:
    outcomes = [outcome for outcome, _ in played.verdicts.values()]
    counts = [f"{outcomes.count(name)} {name}" for name in ("passed", "failed", "skipped")]
    assert played.last_line == ", ".join(counts)
    assert outcomes.count("failed") >= len(WRONG)
    assert played.code == 1


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference's cases are not beside this repository")
def test_the_references_cases_hold(played: Run) -> None:
    verdicts = {file.stem: played.verdicts[file.stem] for file in REFERENCE.glob("*.json")}
    failed = {name: text for name, (outcome, text) in verdicts.items() if outcome == "failed"}
    skipped = {name: text for name, (outcome, text) in verdicts.items() if outcome == "skipped"}
    assert failed == {}
    assert all(text.startswith("no part can run: ") for text in skipped.values())
    assert [name for name in skipped if name.startswith(("a", "b"))] == []


@pytest.mark.skipif(not ZED.is_dir(), reason="the reference's cases are not beside this repository")
def test_zeds_cases_hold_and_the_others_are_skipped(played: Run) -> None:
    verdicts = {file.stem: played.verdicts[file.stem] for file in ZED.glob("*.json")}
    assert {name for name, (outcome, _) in verdicts.items() if outcome == "failed"} == set()
    passed = {name for name, (outcome, _) in verdicts.items() if outcome == "passed"}
    assert passed >= {name for name in verdicts if name.startswith(("D07", "D09"))} != set()
    assert all(text for outcome, text in verdicts.values() if outcome == "skipped")


@pytest.fixture(scope="module")
async def exact() -> Run:
    names = ("exact", "stripe_columns", "contact_columns", "vanished_rows", "faults_in_a_batch")
    return await run(*(OWN / f"{name}.json" for name in names))


def test_answers_columns_and_rows_are_exactly_the_references(exact: Run) -> None:
    assert exact.verdicts["exact"] == ("passed", PROBLEMS)


def test_every_column_of_stripes_objects_and_every_segment_is_right(exact: Run) -> None:
    assert exact.verdicts["stripe_columns"] == ("passed", "")


def test_every_field_of_a_contact_is_right_in_answers_and_columns(exact: Run) -> None:
    assert exact.verdicts["contact_columns"] == ("passed", PROBLEMS)


def test_vanished_rows_are_gone_here_and_not_deleted_at_acoustic(exact: Run) -> None:
    assert exact.verdicts["vanished_rows"] == ("passed", "")


def test_contact_whose_request_fails_is_sent_once_in_its_batch(exact: Run) -> None:
    outcome, text = exact.verdicts["faults_in_a_batch"]
    assert outcome == "passed", text


async def test_skips_do_not_fail(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text('{"id": "d13_loop_and_sleep", "cases": []}')
    found = await run(tmp_path)
    assert (found.code, found.last_line) == (0, "0 passed, 0 failed, 1 skipped")
    assert found.verdicts["table"][1].startswith("no part can run")


async def test_unknown_format_fails(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text('{"id": "table", "cases": []}')
    found = await run(tmp_path)
    assert (found.code, found.last_line) == (1, "0 passed, 1 failed, 0 skipped")


async def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    found = await run(tmp_path / "nowhere")
    assert found.code == 1
    assert "nowhere" in found.last_line
