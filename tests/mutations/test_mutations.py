"""The list of mutations fits the tree; `./just mutations` shows that each of them makes its tests fail."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tree import ROOT, parse

LIST = tomllib.loads(Path(__file__).with_name("mutations.toml").read_text())["mutation"]
RULES = ROOT / "docs" / "reference" / "rules.md"
TEST = re.compile(r"tests/[\w/]+\.py::\w+")


@cache
def functions_of(path: Path) -> frozenset[str]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in parse(path).body if isinstance(node, kinds))


def is_there(test: str) -> bool:
    file, _, name = test.partition("::")
    return (ROOT / file).exists() and name in functions_of(ROOT / file)


@pytest.mark.parametrize("mutation", LIST, ids=lambda one: one["name"])
def test_a_mutations_text_stands_once_in_its_file_and_its_tests_exist(mutation: dict[str, Any]) -> None:
    assert (ROOT / mutation["file"]).read_text().count(mutation["old"]) == 1
    assert mutation["old"] != mutation["new"]
    assert mutation["tests"]
    assert [test for test in mutation["tests"] if not is_there(test)] == []


def test_no_two_mutations_have_one_name() -> None:
    names = [one["name"] for one in LIST]
    assert sorted(set(names)) == sorted(names)


def test_the_rules_name_every_mutation_and_tests_that_exist() -> None:
    text = RULES.read_text()
    assert [one["name"] for one in LIST if f"`{one['name']}`" not in text] == []
    assert [test for test in TEST.findall(text) if not is_there(test)] == []
