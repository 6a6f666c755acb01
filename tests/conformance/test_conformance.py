"""Cases on the session's stacks: what holds passes, what does not fails with its first difference."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.mutants.recording import Diverged, Recording
from tests.conformance.run import Stacks, judge, prepare, prepare_content
from tests.conformance.verdict import FAILED, PASSED, SKIPPED, Verdict

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OWN = ROOT / "tests" / "conformance" / "cases"
VECTORS = ROOT.parent / "shared" / "vectors"
REFERENCE = VECTORS / "ctms"
ZED = VECTORS / "zed-fabric-zulip"
"""The references' cases, where somebody has them: they are not part of this repository."""

PROBLEMS = "as documented: an error has `type`, `title` and `status` too"
Edit = Callable[[Any], None]


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


class Verdicts:
    """Verdicts on the cases of this session, each of which runs once."""

    def __init__(self, stacks: Stacks) -> None:
        self._stacks = stacks
        self._verdicts: dict[Path, Verdict] = {}
        self._recordings: dict[Path, Recording] = {}

    async def of(self, file: Path) -> Verdict:
        """Return the verdict on a case, whose calls to its stack are recorded."""
        if file not in self._verdicts:
            self._recordings[file] = Recording()
            stacks = self._recordings[file].recorded(self._stacks)
            self._verdicts[file] = await judge(prepare(file), stacks)
        return self._verdicts[file]

    async def of_changed(self, file: Path, content: Any) -> Verdict:
        """Return the verdict on a changed case, by the recording of the case where its calls are the same."""
        await self.of(file)
        prepared = prepare_content(file.stem, content)
        try:
            return await judge(prepared, self._recordings[file].replayed(self._stacks))
        except Diverged:
            return await judge(prepared, self._stacks)


@pytest.fixture(scope="session")
def verdicts(stacks: Stacks) -> Verdicts:
    return Verdicts(stacks)


def _cases(folder: Path) -> list[Any]:
    return [pytest.param(file, id=file.stem) for file in sorted(folder.glob("*.json"))]


OWN_CASES = _cases(OWN)
assert OWN_CASES, f"{OWN} has no cases: without this line their test would be skipped"


@pytest.mark.parametrize("file", OWN_CASES)
async def test_our_own_cases_hold(verdicts: Verdicts, file: Path) -> None:
    verdict = await verdicts.of(file)
    assert verdict.outcome == PASSED, verdict.text
    if not file.stem.startswith("zed"):
        assert "not compared" not in verdict.text
        assert "not run" not in verdict.text


@pytest.mark.parametrize("name", WRONG)
async def test_a_case_that_does_not_hold_fails_with_the_first_difference(
    verdicts: Verdicts, name: str
) -> None:
    source, edit, wanted = WRONG[name]
    file = OWN / f"{source}.json"
    case = json.loads(file.read_text())
    edit(case)
    verdict = await verdicts.of_changed(file, case)
    assert verdict.outcome == FAILED
    assert re.match(wanted, verdict.text), verdict.text


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference's cases are not beside this repository")
@pytest.mark.parametrize("file", _cases(REFERENCE))
async def test_the_references_cases_hold(verdicts: Verdicts, file: Path) -> None:
    verdict = await verdicts.of(file)
    assert verdict.outcome != FAILED, verdict.text
    if verdict.outcome == SKIPPED:
        assert verdict.text.startswith("no part can run: ")
        assert not file.stem.startswith(("a", "b"))


@pytest.mark.skipif(not ZED.is_dir(), reason="the reference's cases are not beside this repository")
@pytest.mark.parametrize("file", _cases(ZED))
async def test_zeds_cases_hold_and_the_others_are_skipped(verdicts: Verdicts, file: Path) -> None:
    verdict = await verdicts.of(file)
    if file.stem.startswith(("D07", "D09")):
        assert verdict.outcome == PASSED, verdict.text
    assert verdict.outcome != FAILED, verdict.text
    assert verdict.text or verdict.outcome == PASSED


async def _verdict_on_our_own(verdicts: Verdicts, name: str) -> tuple[str, str]:
    verdict = await verdicts.of(OWN / f"{name}.json")
    return verdict.outcome, verdict.text


async def test_answers_columns_and_rows_are_exactly_the_references(verdicts: Verdicts) -> None:
    assert await _verdict_on_our_own(verdicts, "exact") == ("passed", PROBLEMS)


async def test_every_column_of_stripes_objects_and_every_segment_is_right(verdicts: Verdicts) -> None:
    assert await _verdict_on_our_own(verdicts, "stripe_columns") == ("passed", "")


async def test_every_field_of_a_contact_is_right_in_answers_and_columns(verdicts: Verdicts) -> None:
    assert await _verdict_on_our_own(verdicts, "contact_columns") == ("passed", PROBLEMS)


async def test_vanished_rows_are_gone_here_and_not_deleted_at_acoustic(verdicts: Verdicts) -> None:
    assert await _verdict_on_our_own(verdicts, "vanished_rows") == ("passed", "")


async def test_contact_whose_request_fails_is_sent_once_in_its_batch(verdicts: Verdicts) -> None:
    outcome, text = await _verdict_on_our_own(verdicts, "faults_in_a_batch")
    assert outcome == "passed", text
