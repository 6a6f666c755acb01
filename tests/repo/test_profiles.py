"""Profiles of hypothesis: a test's own number of examples grows and shrinks with the profile."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from properties import examples
from tree import list_files, name_of, parse

OTHERS = {"tests/conftest.py", "tests/attacks/run.py"}
"""Files whose numbers are the profiles themselves, or of no test."""


@pytest.fixture
def profile(request: pytest.FixtureRequest) -> Iterator[None]:
    """Another profile during a test."""
    before = settings.get_current_profile_name()
    settings.load_profile(request.param)
    yield
    settings.load_profile(before)


@pytest.mark.parametrize(
    ("profile", "found"),
    [("check", [25, 10, 1]), ("test", [100, 40, 1]), ("all", [500, 200, 5]), ("first-failure", [100, 40, 1])],
    indirect=["profile"],
)
def test_number_of_examples_follows_the_profile(profile: None, found: list[int]) -> None:
    assert [examples(100), examples(40), examples(1)] == found
    assert settings().max_examples == found[0]


def list_fixed(path: Path) -> list[int]:
    """Return the lines that set a number of examples past the profile."""
    return [
        node.value.lineno
        for node in ast.walk(parse(path))
        if isinstance(node, ast.keyword)
        and node.arg == "max_examples"
        and not (
            isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Name)
            and node.value.func.id == "examples"
        )
    ]


def test_no_test_sets_a_number_of_examples_past_the_profile() -> None:
    tests = {name_of(path): path for path in list_files(".py") if name_of(path).startswith("tests/")}
    assert {name: lines for name in tests.keys() - OTHERS if (lines := list_fixed(tests[name]))} == {}


def test_numbers_that_are_fixed_are_found(tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text("settings(max_examples=examples(4))\nsettings(max_examples=4)\n")
    assert list_fixed(path) == [2]
