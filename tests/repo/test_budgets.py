"""Budgets of time: a folder that became slow fails the run, a slow machine does not."""

import subprocess
import sys
from pathlib import Path

import pytest
from budgets import BESIDE, FACTOR, LEAST_BUDGET, LEAST_SECONDS, LONGEST, compare, load, slowness_of
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


def test_short_folders_say_nothing_of_the_machine() -> None:
    short = {f"tests/short{n}": LEAST_BUDGET - 1 for n in range(9)}
    seconds = BUDGETS | {name: 8 * budget for name, budget in short.items()}
    assert slowness_of(seconds, BUDGETS | short) == 1
    assert slowness_of(seconds, short) == 1
    assert slowness_of({"tests/a": 2 * LEAST_BUDGET}, {"tests/a": LEAST_BUDGET}) == 2


CONFTEST = """
import pytest
def pytest_addoption(parser):
    parser.addoption("--all", action="store_true")
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    report.duration = 60
    return report
"""
"""A folder of tests that take a minute each, by their reports, and have no budget."""


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--budgets", "beside"], 1, "EXCEEDED"),
        (["--budgets", "beside", "--all"], 0, "Not judged"),
        ([], 0, ""),
    ],
    ids=["judged", "all", "none"],
)
def test_exceeded_budget_fails_the_run_but_not_with_all(
    tmp_path: Path, options: list[str], code: int, said: str
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_slow.py").write_text("def test_passes(): pass")
    command = [sys.executable, "-m", "pytest", "-p", "budgets", "-c", "pytest.ini", *options]
    (tmp_path / "pytest.ini").write_text("[pytest]")
    environment = {"PYTHONPATH": str(ROOT / "tests/fixtures"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "1 passed" in done.stdout) == (code, True)
    assert said in done.stdout


def test_every_budget_is_of_a_folder_or_a_long_file_that_there_is() -> None:
    parts = load()
    assert parts.keys() == {"alone", BESIDE, LONGEST}
    assert [name for name in parts.pop(LONGEST) if not (ROOT / name).is_file()] == []
    folders = {name for budgets in parts.values() for name in budgets}
    assert [name for name in folders if not (ROOT / name).is_dir()] == []
