"""Each attack at each door: answered as it has to be, and no innocent caller notices it."""

import asyncio

import pytest
from tests.attacks.case import Case, attack, judge
from tests.attacks.cases.table import ALL, QUICK, WAITING
from tests.attacks.stage import Stage

DOORS = (
    "gateway",
    "ingest",
    "sync",
    "billing",
    "gateway-ingest",
    "gateway-sync",
    "gateway-billing",
    "gateway-accounts",
)


def test_every_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in ALL]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.slow
@pytest.mark.rotating
@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.name)
@pytest.mark.parametrize("name", DOORS)
async def test_attack_is_answered_strictly_and_harms_no_other_caller(
    stage: Stage, name: str, case: Case
) -> None:
    door = stage.doors[name]
    problems = judge(case, await attack(case, door), await stage.plain(case.method, door))
    assert [*problems, *await stage.harm(name)] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", DOORS)
async def test_unfinished_requests_are_ended_in_time_and_harm_no_other_caller(
    stage: Stage, name: str
) -> None:
    door = stage.doors[name]
    outcomes = await asyncio.gather(*(attack(case, door) for case in WAITING))
    problems = {
        case.name: judge(case, outcome, await stage.plain("POST", door))
        for case, outcome in zip(WAITING, outcomes, strict=True)
    }
    assert {key: value for key, value in problems.items() if value} == {}
    assert await stage.harm(name) == []
