"""Each attack at each door: answered as it has to be, and no innocent caller notices it."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.attacks.case import Case, attack, judge
from tests.attacks.cases.table import ALL, QUICK, WAITING
from tests.attacks.stage import Stage

GROUPS = (
    ("gateway", "ingest", "sync", "billing", "gateway-ingest", "gateway-sync", "gateway-billing"),
    ("gateway-accounts",),
)
"""Doors that are attacked at once: no two of a group share connections of the gateway."""


async def problems_of(stage: Stage, case: Case, names: Sequence[str]) -> dict[str, list[str]]:
    """Attack some doors at once; return what is wrong at each."""
    doors = [stage.doors[name] for name in names]
    outcomes = await asyncio.gather(*(attack(case, door) for door in doors))
    found = {
        door.name: judge(case, outcome, await stage.plain(case.method, door))
        for door, outcome in zip(doors, outcomes, strict=True)
    }
    return {name: problems for name, problems in found.items() if problems}


def test_every_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in ALL]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.rotating
@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.name)
async def test_attack_is_answered_strictly_and_harms_no_other_caller(stage: Stage, case: Case) -> None:
    wrong: dict[str, list[str]] = {}
    for names in GROUPS:
        wrong |= await problems_of(stage, case, names)
        if harm := await stage.harm():
            wrong[f"callers after {names[-1]}"] = harm
    assert wrong == {}


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.rotating
@pytest.mark.parametrize("names", GROUPS, ids=len)
async def test_unfinished_requests_are_ended_in_time_and_harm_no_other_caller(
    stage: Stage, names: Sequence[str]
) -> None:
    found = await asyncio.gather(*(problems_of(stage, case, names) for case in WAITING))
    assert {case.name: wrong for case, wrong in zip(WAITING, found, strict=True) if wrong} == {}
    assert await stage.harm() == []
