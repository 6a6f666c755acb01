"""The list of mutations fits the tree; `./just mutations` shows that each of them makes its tests fail."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from tests.mutations.__main__ import choose
from tests.mutations.entries import Mutation, load, part_of
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


@pytest.mark.parametrize("parts", [1, 2, 7, len(LIST), len(LIST) + 1])
def test_parts_are_even_and_together_the_list_in_its_order(parts: int) -> None:
    lists = [part_of(LIST, number, parts) for number in range(1, parts + 1)]
    assert [mutation for part in lists for mutation in part] == LIST
    sizes = {len(part) for part in lists}
    assert max(sizes) - min(sizes) <= 1


def test_part_on_the_command_line_chooses_its_mutations() -> None:
    assert choose(["--part", "2/3", "--jobs", "1"]) == (part_of(LIST, 2, 3), 1)
    names = [mutation.name for mutation in LIST[:4]]
    assert choose([*names, "--part", "1/2"])[0] == LIST[:2]


@pytest.mark.parametrize("part", ["0/3", "4/3", "1/0", "1", "a/b", "-1/3", f"1/{len(LIST) + 1}"])
def test_part_that_is_none_is_refused_on_the_command_line(
    part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        choose([f"--part={part}"])
    assert ended.value.code == 2
    assert "part" in capsys.readouterr().err
