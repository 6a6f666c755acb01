"""Rotation of tests: a commit chooses a part of each file, the same one on every machine."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rotation import PARTS, VARIABLE, Rotation, find_rotation, part_of
from tree import ROOT

AUTHOR = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "a"), ("EMAIL", "a@example.com"), ("DATE", "2024-01-01T00:00:00Z"))
}
"""With the date, ids of commits are the same in each run."""

MARKED = """
import pytest
@pytest.mark.rotating
@pytest.mark.parametrize("one", "abcd")
def test_turn(one): pass
@pytest.mark.minutes
def test_long(): pass
def test_always(): pass
"""
CONFTEST = """
def pytest_addoption(parser):
    parser.addoption("--all", action="store_true")
"""
CONFIGURATION = """
[pytest]
markers =
    rotating
    minutes
"""
ALWAYS = "test_it.py::test_always"
EVERYTHING = [*(f"test_it.py::test_turn[{one}]" for one in "abcd"), "test_it.py::test_long", ALWAYS]


@pytest.fixture(autouse=True)
def without_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the choice to the commit, also in a run that was given a number."""
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.mark.parametrize("count", [1, 2, 4, PARTS, PARTS + 1, 40])
def test_parts_of_consecutive_numbers_are_disjoint_and_together_everything(count: int) -> None:
    tests = list(range(count))
    runs = [part_of(tests, number)[0] for number in range(7, 7 + min(PARTS, count))]
    assert sorted(test for run in runs for test in run) == tests
    assert max(map(len, runs)) - min(map(len, runs)) <= 1


def test_part_is_named_as_it_is_counted_from_one() -> None:
    assert part_of(list("abcd"), 6) == (["c"], "part 3 of 4")


def test_number_given_in_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "41")
    assert find_rotation.__wrapped__() == Rotation(41, VARIABLE)


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=os.environ | AUTHOR | {"GIT_CONFIG_GLOBAL": os.devnull},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with one commit."""
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "first")
    return tmp_path


def test_id_of_the_commit_chooses_whoever_owns_the_clone(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git(clone, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert find_rotation(clone) == Rotation(int(commit[:8], base=16), f"commit {commit[:8]}")


def test_commits_that_are_pushed_by_twos_reach_every_part(clone: Path) -> None:
    chosen = set()
    for number in range(60):
        git(clone, "commit", "--quiet", "--allow-empty", "--message", str(number))
        if number % 2:
            chosen.add(find_rotation.__wrapped__(clone).number % PARTS)
    assert chosen == set(range(PARTS))


def test_date_chooses_and_is_named_without_a_commit_or_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = {datetime.now(UTC)}
    without_commit = find_rotation.__wrapped__(tmp_path)
    monkeypatch.setenv("PATH", "")
    without_git = find_rotation.__wrapped__(ROOT)
    days.add(datetime.now(UTC))
    for number, source in (without_commit, without_git):
        assert (number, source) in {
            (day.timetuple().tm_yday, f"the date, {day:%F}, since git names no commit") for day in days
        }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of tests that rotate."""
    (tmp_path / "pytest.ini").write_text(CONFIGURATION)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(MARKED)
    return tmp_path


def run(folder: Path, *arguments: str, number: int = 0) -> str:
    """Run pytest with this plugin alone."""
    environment = {"PYTHONPATH": str(ROOT / "tests/fixtures"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "rotation", *arguments],
        cwd=folder,
        env=environment | {VARIABLE: str(number)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def collect(folder: Path, *arguments: str, number: int = 0) -> list[str]:
    """Return the tests that would run."""
    output = run(folder, "-q", "--collect-only", *arguments, number=number)
    return [line for line in output.splitlines() if "::" in line]


def test_one_part_runs_at_a_time_all_by_the_option_and_any_by_its_name(folder: Path) -> None:
    assert collect(folder, "--all") == EVERYTHING
    assert [collect(folder, number=number) for number in (0, 5)] == [
        [EVERYTHING[0], ALWAYS],
        [EVERYTHING[1], ALWAYS],
    ]
    assert collect(folder, EVERYTHING[3], EVERYTHING[4]) == EVERYTHING[3:5]


def test_summary_names_part_and_source_of_the_number(folder: Path) -> None:
    output = run(folder, number=6)
    assert "test_it.py: part 3 of 4" in output
    assert f"chosen by {VARIABLE}: {VARIABLE}=6 runs these parts again" in output
