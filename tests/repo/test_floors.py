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

BREACHES = [
    ("distributions", "mainstem.billing.settings", "mainstem.ingest.settings"),
    ("distributions", "mainstem.sync.settings", "mainstem.sandbox.world.clock"),
    ("distributions", "mainstem.gateway.settings", "mainstem.sync.settings"),
    ("distributions", "mainstem.sandbox.world.clock", "mainstem.gateway.settings"),
    ("distributions", "mainstem.common.commands", "mainstem.sandbox.world.clock"),
    ("common", "mainstem.common.settings", "mainstem.common.telemetry.metrics"),
    ("common", "mainstem.common.database.pool", "mainstem.common.queue.grouping"),
    ("common-http", "mainstem.common.http.endpoint", "mainstem.common.http.routing"),
    ("common-http", "mainstem.common.http.calls.client", "mainstem.common.http.bodies"),
    (
        "common-http-connections",
        "mainstem.common.http.connections.head",
        "mainstem.common.http.connections.guard",
    ),
    ("common-queue", "mainstem.common.queue.wake", "mainstem.common.queue.waker"),
    ("common-database", "mainstem.common.database.pool", "mainstem.common.database.sessions"),
    ("sandbox", "mainstem.sandbox.stand_ins.protocol", "mainstem.sandbox.stack.folder"),
    ("sandbox", "mainstem.sandbox.acoustic.account", "mainstem.sandbox.stripe.wire.errors"),
    ("sandbox-stripe", "mainstem.sandbox.stripe.goods.cards", "mainstem.sandbox.stripe.delivery.events"),
    ("sandbox-stripe-state", "mainstem.sandbox.stripe.state.store", "mainstem.sandbox.stripe.state.listing"),
    ("ingest", "mainstem.ingest.inbox.replay", "mainstem.ingest.pipeline.bulkheads"),
    ("ingest", "mainstem.ingest.mirror.write", "mainstem.ingest.pipeline.bulkheads"),
    ("ingest", "mainstem.ingest.doors.webhooks", "mainstem.ingest.upkeep.walk"),
    ("ingest", "mainstem.ingest.providers.stripe.answers", "mainstem.ingest.accounts.connected"),
    ("ingest-pipeline", "mainstem.ingest.pipeline.fetches", "mainstem.ingest.pipeline.commit"),
    ("sync", "mainstem.sync.profiles.loading", "mainstem.sync.delivery.marks"),
    ("sync", "mainstem.sync.delivery.relay", "mainstem.sync.contacts.storage"),
    ("sync", "mainstem.sync.platforms.protocol", "mainstem.sync.delivery.batching"),
    ("sync-delivery", "mainstem.sync.delivery.storage", "mainstem.sync.delivery.leases"),
    ("billing", "mainstem.billing.settings", "mainstem.billing.checkout.endpoints"),
    ("billing", "mainstem.billing.portal.sessions", "mainstem.billing.checkout.storage"),
    ("billing", "mainstem.billing.operations.runner", "mainstem.billing.portal.sessions"),
    ("billing", "mainstem.billing.accounts.storage", "mainstem.billing.mirror"),
    ("billing", "mainstem.billing.accounts.customers", "mainstem.billing.policies.debts"),
    ("billing", "mainstem.billing.stripe.client", "mainstem.billing.accounts.storage"),
    ("gateway", "mainstem.gateway.keys.endpoints", "mainstem.gateway.proxy.endpoints"),
    ("gateway", "mainstem.gateway.clients.storage", "mainstem.gateway.keys.storage"),
    ("gateway", "mainstem.gateway.tokens.turns", "mainstem.gateway.proxy.headers"),
    ("gateway-tokens", "mainstem.gateway.tokens.turns", "mainstem.gateway.tokens.authentication"),
    ("rules", "mainstem.common.owner", "sqlalchemy"),
    ("rules", "mainstem.ingest.subscriptions.derive", "asyncpg"),
    ("rules", "mainstem.sync.contacts.bodies", "mainstem.sync.delivery.deliver"),
    ("rules", "mainstem.sync.profiles.profile", "mainstem.common.database.pool"),
    ("rules", "mainstem.billing.policies.debts", "stripe"),
    ("rules", "mainstem.gateway.routes.table", "httpx"),
]
"""Contract, importer, imported: an import that breaks this contract and no other.

Written by hand, so that a contract loosened in `.importlinter` fails here.
"""


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
    for floors in list_floors(contract):
        for floor in floors:
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


@pytest.mark.parametrize(("contract", "importer", "imported"), BREACHES)
def test_import_that_a_contract_forbids_breaks_it_and_no_other(
    contract: str, importer: str, imported: str
) -> None:
    assert {name for name in read_contracts() if not is_kept(name, (importer, imported))} == {contract}


def test_no_floor_holds_rooms_that_may_see_each_other() -> None:
    layers = [read_contracts()[contract].contract_options["layers"] for contract in list_layered()]
    assert [line for lines in layers for line in lines if ":" in line] == []


def test_no_distribution_is_forgotten() -> None:
    roots = read_configuration(str(FILE))["session_options"]["root_packages"]
    assert sorted(roots) == [f"mainstem.{path.name}" for path in sorted(SOURCES, key=lambda path: path.name)]
    assert {path.name for path in SOURCES} == {"common", "sandbox", *SERVICES}
    (floors,) = list_floors("distributions")
    assert sorted(name for floor in floors for name in floor) == sorted(roots)


def test_only_imports_that_may_go_up_are_those_of_commands() -> None:
    assert EXCEPTIONS
    for importer, imported in EXCEPTIONS:
        service = ".".join(importer.split(".")[:2])
        assert importer.removeprefix(f"{service}.").split(".")[0] == "commands"
        assert imported in {f"{service}.app", f"{service}.worker"}
