"""The list of mutations fits the tree; `./just mutations` shows that each of them makes its tests fail."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from tests.mutations.__main__ import Mutation, load
from tree import ROOT, list_sources, name_of, parse

LIST = load()
RULES = ROOT / "docs" / "reference" / "rules.md"
TEST = re.compile(r"tests/[\w/]+\.py::\w+")


@cache
def functions_of(path: Path) -> frozenset[str]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in parse(path).body if isinstance(node, kinds))


def is_there(test: str) -> bool:
    file, _, name = test.partition("::")
    return (ROOT / file).exists() and name in functions_of(ROOT / file)


@pytest.mark.parametrize("mutation", LIST, ids=lambda mutation: mutation.name)
def test_a_mutations_text_stands_once_at_its_anchor_and_its_tests_exist(mutation: Mutation) -> None:
    mutation.find(ROOT)
    assert mutation.old != mutation.new
    assert mutation.tests
    assert [test for test in mutation.tests if not is_there(test)] == []


def test_mutation_of_a_distribution_names_a_symbol_and_no_file() -> None:
    sources = {name_of(path) for path in list_sources()}
    assert [mutation.name for mutation in LIST if mutation.file in sources] == []


def test_no_two_mutations_have_one_name() -> None:
    names = [mutation.name for mutation in LIST]
    assert sorted(set(names)) == sorted(names)


def test_the_rules_name_every_mutation_and_tests_that_exist() -> None:
    text = RULES.read_text()
    assert [mutation.name for mutation in LIST if f"`{mutation.name}`" not in text] == []
    assert [test for test in TEST.findall(text) if not is_there(test)] == []
