"""Contracts of `.importlinter`, each proven by imports that break it: up, sideways, from a stray file."""

import configparser
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from itertools import combinations, pairwise

import grimp
import pytest
from importlinter.api import read_configuration
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract
from importlinter.domain.contract import Contract
from tree import ROOT

FILE = ROOT / ".importlinter"
SOURCES = sorted(path for path in ROOT.glob("*/*/src/mainstem/*") if path.is_dir())
SERVICES = ("ingest", "sync", "billing", "gateway")
KINDS: dict[str, type[Contract]] = {"layers": LayersContract, "forbidden": ForbiddenContract}

Edge = tuple[str, str]
"""An import: importer, imported."""

EXCEPTIONS = set(re.findall(r"(\S+) -> (\S+)", FILE.read_text()))
"""Imports that may go up."""

SIDEWAYS = [
    ("mainstem.billing.settings", "mainstem.ingest.settings"),
    ("mainstem.sync.settings", "mainstem.sandbox.world.clock"),
    ("mainstem.common.clock", "mainstem.sandbox.world.clock"),
]
"""Imports between distributions that none may have."""
FORBIDDEN = [
    ("mainstem.sync.profiles.profile", "mainstem.common.database.pool"),
    ("mainstem.ingest.subscriptions.derive", "asyncpg"),
]
"""Imports that no rule may have."""


def read_names() -> dict[str, str]:
    """Return the id of each contract by its name."""
    parser = configparser.ConfigParser()
    parser.read(FILE)
    return {parser[section]["name"]: section.rpartition(":")[2] for section in parser.sections()[1:]}


@cache
def read_contracts() -> dict[str, Contract]:
    """Return the contracts by their ids."""
    configuration = read_configuration(str(FILE))
    names, session = read_names(), configuration["session_options"]
    return {
        names[options["name"]]: KINDS[options["type"]](
            options["name"], session, {key: value for key, value in options.items() if key != "id"}
        )
        for options in configuration["contracts_options"]
    }


@cache
def build_graph() -> grimp.ImportGraph:
    """Return the imports of the tree as it is."""
    roots = read_configuration(str(FILE))["session_options"]["root_packages"]
    return grimp.build_graph(*roots, include_external_packages=True, cache_dir=None)


def is_kept(contract: str, *edges: Edge, stray: str | None = None) -> bool:
    """Return whether the tree keeps a contract with these imports, and a stray module, added to it."""
    graph = deepcopy(build_graph())
    for importer, imported in edges:
        assert {importer, imported} <= graph.modules, f"{importer} or {imported} has gone: choose another"
        graph.add_import(importer=importer, imported=imported)
    if stray is not None:
        graph.add_module(stray)
    return bool(read_contracts()[contract].check(deepcopy(graph), verbose=False).kept)


def list_layered() -> list[str]:
    return [name for name, contract in read_contracts().items() if isinstance(contract, LayersContract)]


def list_floors(contract: str) -> Iterator[list[list[str]]]:
    """Yield the modules of each floor, the highest first, once for each container of the contract."""
    options = read_contracts()[contract].contract_options
    for container in list_containers(contract) or [""]:
        prefix = f"{container}." if container else ""
        yield [[f"{prefix}{name}" for name in re.split(r"\s*[|:]\s*", line)] for line in options["layers"]]


def list_containers(contract: str) -> list[str]:
    containers: str | list[str] = read_contracts()[contract].contract_options.get("containers", [])
    return containers.split() if isinstance(containers, str) else containers


def list_pairs(contract: str) -> Iterator[Edge]:
    """Yield pairs of one floor that may not see each other."""
    lines = read_contracts()[contract].contract_options["layers"]
    for floors in list_floors(contract):
        for line, floor in zip(lines, floors, strict=True):
            if ":" not in line:
                yield from pairwise(floor)


@pytest.mark.parametrize("contract", read_contracts())
def test_tree_as_it_is_keeps_the_contract(contract: str) -> None:
    assert is_kept(contract)


@pytest.mark.parametrize("contract", list_layered())
def test_import_from_a_lower_floor_breaks_the_contract(contract: str) -> None:
    for floors in list_floors(contract):
        for upper, lower in combinations(floors, 2):
            edge = lower[0], upper[0]
            assert edge in EXCEPTIONS or not is_kept(contract, edge), f"{edge[0]} may import {edge[1]}"


@pytest.mark.parametrize("contract", list_layered())
def test_import_within_a_floor_of_independent_files_breaks_the_contract(contract: str) -> None:
    for edge in list_pairs(contract):
        assert not is_kept(contract, edge), f"{edge[0]} may import {edge[1]}"
        assert not is_kept(contract, edge[::-1]), f"{edge[1]} may import {edge[0]}"


@pytest.mark.parametrize("contract", [name for name in list_layered() if name != "distributions"])
def test_file_that_stands_on_no_floor_breaks_the_contract(contract: str) -> None:
    assert read_contracts()[contract].contract_options["exhaustive"]
    for container in list_containers(contract):
        assert not is_kept(contract, stray=f"{container}.stray")


def test_every_room_has_floors() -> None:
    containers = {container for contract in list_layered() for container in list_containers(contract)}
    graph = build_graph()
    rooms = {
        name for name in graph.modules if name.startswith("mainstem.") and len(graph.find_children(name)) > 1
    }
    assert rooms
    assert rooms - containers == set()


@pytest.mark.parametrize("edge", SIDEWAYS)
def test_import_of_another_distribution_breaks_the_contract(edge: Edge) -> None:
    assert not is_kept("distributions", edge)


@pytest.mark.parametrize("edge", FORBIDDEN)
def test_import_of_a_framework_by_a_rule_breaks_the_contract(edge: Edge) -> None:
    assert not is_kept("rules", edge)


def test_no_distribution_is_forgotten() -> None:
    roots = read_configuration(str(FILE))["session_options"]["root_packages"]
    assert sorted(roots) == [f"mainstem.{path.name}" for path in sorted(SOURCES, key=lambda path: path.name)]
    assert {path.name for path in SOURCES} == {"common", "sandbox", *SERVICES}


def test_only_imports_that_may_go_up_are_those_of_commands() -> None:
    assert EXCEPTIONS
    for importer, imported in EXCEPTIONS:
        service = ".".join(importer.split(".")[:2])
        assert importer.removeprefix(f"{service}.").split(".")[0] == "commands"
        assert imported in {f"{service}.app", f"{service}.worker"}
