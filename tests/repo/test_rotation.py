"""Rotation of tests: every one runs within few runs, and the same ones on every machine."""

import subprocess
import sys

import pytest
from rotation import PARTS, VARIABLE, part_of, rotation
from tree import ROOT


@pytest.mark.parametrize("count", [1, 2, 4, PARTS, PARTS + 1, 40])
def test_parts_of_consecutive_runs_are_disjoint_and_together_everything(count: int) -> None:
    tests = list(range(count))
    runs = [part_of(tests, number)[0] for number in range(7, 7 + min(PARTS, count))]
    assert sorted(test for run in runs for test in run) == tests
    assert max(map(len, runs)) - min(map(len, runs)) <= 1


def test_part_is_named_as_it_is_counted_from_one() -> None:
    assert part_of(list("abcd"), 6) == (["c"], "part 3 of 4")


def test_number_given_in_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "41")
    assert rotation.__wrapped__() == 41


def collect(*arguments: str, number: int = 0) -> list[str]:
    """Return the tests of the walks that would run."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", VARIABLE: str(number)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if "test_who_does" in line]


def test_one_walk_runs_at_a_time_all_by_the_option_and_any_by_its_name() -> None:
    walks = collect("tests/walks", "--all")
    assert len(walks) > 1
    assert [collect("tests/walks", number=number) for number in (0, 1)] == [walks[:1], walks[1:2]]
    assert collect(walks[-1], number=0) == walks[-1:]
