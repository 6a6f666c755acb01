"""Budgets of time: a folder that became slow fails the run, a slow machine does not."""

import pytest
from budgets import FACTOR, LEAST_SECONDS, compare, load
from tree import ROOT

BUDGETS = {f"tests/{name}": 20.0 for name in "abcde"}


def exceeded(seconds: dict[str, float], budgets: dict[str, float] = BUDGETS) -> list[str]:
    return [line.folder for line in compare(seconds, budgets) if line.is_exceeded]


def test_folder_that_takes_several_times_its_budget_exceeds_it() -> None:
    assert exceeded(BUDGETS) == []
    assert exceeded(BUDGETS | {"tests/a": 20 * FACTOR + 1}) == ["tests/a"]
    assert exceeded(BUDGETS | {"tests/a": 20 * FACTOR}) == []


@pytest.mark.parametrize("slowness", [2, 10])
def test_machine_that_slows_every_folder_exceeds_no_budget(slowness: float) -> None:
    seconds = {name: budget * slowness for name, budget in BUDGETS.items()}
    assert exceeded(seconds) == []
    assert exceeded(seconds | {"tests/a": 20 * slowness * FACTOR + 1}) == ["tests/a"]


def test_quick_folders_hide_no_slow_one() -> None:
    seconds = dict.fromkeys(BUDGETS, 1.0) | {"tests/a": 20 * FACTOR + 1}
    assert exceeded(seconds) == ["tests/a"]


def test_short_folder_may_vary_and_new_one_needs_a_budget() -> None:
    assert exceeded({"tests/a": 1 + LEAST_SECONDS}, {"tests/a": 1}) == []
    assert exceeded({"tests/new": LEAST_SECONDS + 1}, {}) == ["tests/new"]
    assert exceeded({"tests/new": LEAST_SECONDS}, {}) == []


def test_every_budget_is_of_a_folder_that_there_is() -> None:
    parts = load()
    assert parts.keys() == {"alone", "beside"}
    folders = {name for budgets in parts.values() for name in budgets}
    assert [name for name in folders if not (ROOT / name).is_dir()] == []
