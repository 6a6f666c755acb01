"""Mutants of cases: every expectation is changed once, and a mutant that passes needs a reason."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.deviations import DEVIATIONS
from tests.conformance.mutants.places import Mutant, mutants
from tests.conformance.mutants.reasons import is_explained
from tests.conformance.mutants.recording import Diverged, Recording
from tests.conformance.verdict import Notes

ROOT = Path(__file__).parents[2]
OWN = ROOT / "tests" / "conformance" / "cases"
PATIENCE_SECONDS = 900

CASE = {
    "id": "case",
    "setup": {"contacts": [{"email": {"primary_email": "a@example.com"}}]},
    "steps": [
        {
            "n": 0,
            "action": {"http": {"status": 1}},
            "expect": {"status": 200, "json": {"id": "a1", "of": []}},
        },
        {
            "n": 1,
            "action": {"acoustic_sync_cycle": {}},
            "expect": {"acoustic_requests": [{"table_id": "9", "rows": [{"at": "<any>"}]}]},
        },
    ],
    "final": {"pending_acoustic": [{"email_id": None, "retry": 0}]},
    "observed_differences": {"status": 500},
}


def test_every_expectation_is_changed_and_every_member_that_must_be_there_removed() -> None:
    assert [str(one) for one in mutants(CASE)] == [
        "steps[0].expect",
        "steps[0].expect.status",
        "steps[0].expect.json",
        "steps[0].expect.json.id",
        "steps[0].expect.json.id gone",
        "steps[0].expect.json.of",
        "steps[0].expect.json.of gone",
        "steps[1].expect",
        "steps[1].expect.acoustic_requests",
        "steps[1].expect.acoustic_requests[0]",
        "steps[1].expect.acoustic_requests[0] gone",
        "steps[1].expect.acoustic_requests[0].table_id",
        "steps[1].expect.acoustic_requests[0].table_id gone",
        "steps[1].expect.acoustic_requests[0].rows",
        "steps[1].expect.acoustic_requests[0].rows gone",
        "steps[1].expect.acoustic_requests[0].rows[0]",
        "steps[1].expect.acoustic_requests[0].rows[0] gone",
        "steps[1].expect.acoustic_requests[0].rows[0].at gone",
        "final",
        "final.pending_acoustic",
        "final.pending_acoustic[0]",
        "final.pending_acoustic[0] gone",
        "final.pending_acoustic[0].email_id",
        "final.pending_acoustic[0].email_id gone",
        "final.pending_acoustic[0].retry",
        "final.pending_acoustic[0].retry gone",
    ]


def test_every_mutant_differs_from_its_case_and_leaves_what_is_given() -> None:
    for mutant in mutants(CASE):
        assert mutant.content != CASE
        assert mutant.content["setup"] == CASE["setup"]
        assert [step["action"] for step in mutant.content["steps"]] == [
            {"http": {"status": 1}},
            {"acoustic_sync_cycle": {}},
        ]


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (True, False),
        (3, 4),
        (None, "other"),
        ("", "other"),
        ("<NOW>", "other"),
        ("a1", "a2"),
        ("2021-09-27T00:00:00+00:00", "2021-09-27T00:00:00+00:01"),
        ("/ctms/a/", "/ctms/1/"),
    ],
)
def test_value_becomes_another_one(value: Any, other: Any) -> None:
    case = {"steps": [{"action": {}, "expect": {"json": value}}]}
    found = [one for one in mutants(case) if str(one) == "steps[0].expect.json"]
    assert [one.content["steps"][0]["expect"]["json"] for one in found] == [other]


def test_of_an_example_the_result_alone_is_changed() -> None:
    table = {"product_table": {"bool": [[True, "Yes"]]}, "fxa_created_date": [{"in": "x", "sent": "x"}]}
    places = [str(one) for one in mutants(table)]
    assert places == [
        "product_table",
        "product_table.bool[0][1]",
        "fxa_created_date[0]",
        "fxa_created_date[0].sent",
    ]


def mutant_at(*place: str | int) -> Mutant:
    return Mutant(place, CASE, CASE, is_gone=False)


REQUESTS = ("steps", 1, "expect", "acoustic_requests")


@pytest.mark.parametrize(
    ("remark", "place"),
    [
        ("cycle_context.end_time", ("steps", 0, "expect", "cycle_context", "end_time")),
        ("log.trace", ("steps", 0, "expect", "log", "trace")),
        ("metrics.a_total", ("steps", 0, "expect", "metrics", 'a_total{"b": "c"}')),
        ("the newsletter table (it is not sent)", (*REQUESTS, 0, "rows", 0, "at")),
        ("the newsletter table (it is not sent)", REQUESTS),
        ("steps 0, 1: GET /updates does not exist", ("steps", 1, "expect", "status")),
        ("steps 0 and later: GET /updates does not exist", ("steps", 1, "expect", "status")),
        ("row 2 (GET /x does not exist)", ("table", 1, "status")),
        ("final", ("final", "products")),
    ],
)
def test_mutant_is_explained_by_a_remark_on_its_place_and_by_no_other(
    remark: str, place: tuple[str | int, ...]
) -> None:
    notes = Notes(not_run=[remark]) if " does not" in remark else Notes(not_compared=[remark])
    assert is_explained(mutant_at(*place), notes, notes)
    other = Notes(not_compared=["cycle_context.loop_sleep_s", "the waitlist table (it is not sent)"])
    assert not is_explained(mutant_at(*place), other, other)


def test_mutant_is_explained_by_a_remark_that_its_case_does_not_have() -> None:
    place = ("final", "pending_acoustic", 0, "retry")
    assert is_explained(mutant_at(*place), Notes(not_compared=["anything"]), Notes())
    assert not is_explained(mutant_at(*place), Notes(), Notes())


def test_of_a_refused_field_the_words_are_explained_and_its_place_is_not() -> None:
    notes = Notes(documented=[DEVIATIONS["refused_fields"].ours])
    place = ("steps", 0, "expect", "json", "detail", 0)
    assert is_explained(mutant_at(*place, "msg"), notes, notes)
    assert not is_explained(mutant_at(*place, "loc", 1), notes, notes)


async def test_recording_gives_the_results_of_the_same_calls_and_no_others() -> None:
    async def act() -> int:
        return 7

    recording = Recording()
    assert await recording.call("a", act) == 7
    assert recording.attribute("b", [1]) == [1]
    recording.rewind()
    assert await recording.call("a", act) == 7
    with pytest.raises(Diverged):
        await recording.call("c", act)
    assert recording.attribute("b", [2]) == [1]
    with pytest.raises(Diverged):
        await recording.call("a", act)


@pytest.mark.slow
@pytest.mark.minutes
async def test_no_wrong_expectation_of_our_cases_passes_unexplained() -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.conformance.mutants", str(OWN), "--most", "150"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, errors = await child.communicate()
    assert child.returncode == 0, output.decode()[-2_000:] + errors.decode()[-500:]
    assert "0 unexplained" in output.decode().splitlines()[-1]
