"""Each contract of `.importlinter` is proven by a violation that breaks it, and it alone."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {path.name: path for path in ROOT.glob("*/*/src/mainstem/*") if path.is_dir()}
SERVICES = ("ingest", "sync", "billing", "gateway")

VIOLATIONS = {
    "distributions": ("common/clock.py", "import mainstem.sandbox.clock"),
    "common": ("common/settings.py", "import mainstem.common.telemetry"),
    "sandbox": ("sandbox/faults.py", "import mainstem.sandbox.acoustic.stand_in"),
    "stripe": ("sandbox/stripe/wire/errors.py", "import mainstem.sandbox.stripe.edge.answering"),
    "http": ("common/http/endpoint.py", "import mainstem.common.http.routing"),
    "ingest": ("ingest/inbox.py", "import mainstem.ingest.pipeline"),
    "sync": ("sync/contacts.py", "import mainstem.sync.relay"),
    "billing": ("billing/settings.py", "import mainstem.billing.endpoints"),
    "gateway": ("gateway/keys.py", "import mainstem.gateway.endpoints"),
    "proxy": ("gateway/proxy/body.py", "import mainstem.gateway.proxy.watch"),
    "rules": ("ingest/rules/derive.py", "import asyncpg"),
    "sets": ("ingest/rules/derive.py", "import mainstem.ingest.rules.sets"),
}
"""By contract: a file, and an import that may not stand in it."""

MORE_VIOLATIONS = [
    ("distributions", "billing/settings.py", "import mainstem.ingest.settings"),
    ("distributions", "sync/settings.py", "import mainstem.sandbox.clock"),
    ("common", "common/inbox.py", "import mainstem.common.outbox"),
    ("common", "common/errors.py", "def late() -> None:\n    import mainstem.common.clock"),
    ("sandbox", "sandbox/stripe/wire/errors.py", "import mainstem.sandbox.acoustic.account"),
    ("rules", "sync/profile.py", "import mainstem.common.database"),
]


def read_contracts() -> dict[str, str]:
    """Return the name of each contract by its id."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    sections = {name.rpartition(":")[2]: parser[name] for name in parser.sections() if "contract" in name}
    return {key: section["name"] for key, section in sections.items()}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the sources and their floors."""
    for name, source in SOURCES.items():
        shutil.copytree(
            source, tmp_path / "src" / "mainstem" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("import-linter")


def list_broken(tree: Path, cache: Path) -> set[str]:
    """Return the ids of the contracts that the tree breaks."""
    result = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--cache-dir", cache],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "src"), "COLUMNS": "500"},
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts = dict(re.findall(r"^(.+?) (KEPT|BROKEN)", result.stdout, re.MULTILINE))
    assert verdicts.keys() == set(read_contracts().values()), result.stdout + result.stderr
    broken = {key for key, name in read_contracts().items() if verdicts[name] == "BROKEN"}
    assert (result.returncode != 0) is bool(broken)
    return broken


def append(tree: Path, file: str, line: str) -> None:
    path = tree / "src" / "mainstem" / file
    assert path.exists(), f"{file} has gone; choose another place for this violation"
    path.write_text(f"{path.read_text()}\n{line}\n")


def test_the_tree_as_it_is_keeps_every_contract(tree: Path, cache: Path) -> None:
    assert list_broken(tree, cache) == set()


@pytest.mark.parametrize("contract", sorted(read_contracts()))
def test_a_violation_breaks_its_contract_and_no_other(tree: Path, cache: Path, contract: str) -> None:
    append(tree, *VIOLATIONS[contract])
    assert list_broken(tree, cache) == {contract}


@pytest.mark.parametrize(("contract", "file", "line"), MORE_VIOLATIONS)
def test_further_ways_to_look_up_or_sideways_are_seen(
    tree: Path, cache: Path, contract: str, file: str, line: str
) -> None:
    append(tree, file, line)
    assert contract in list_broken(tree, cache)


@pytest.mark.parametrize("distribution", sorted(SOURCES))
def test_a_file_that_stands_on_no_floor_breaks_the_build(tree: Path, cache: Path, distribution: str) -> None:
    (tree / "src" / "mainstem" / distribution / "stray.py").write_text('"""A stray."""\n')
    assert list_broken(tree, cache) == {distribution}


def test_no_distribution_is_forgotten() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    roots = parser["importlinter"]["root_packages"].split()
    assert sorted(roots) == sorted(f"mainstem.{name}" for name in SOURCES)
    assert SOURCES.keys() == {"common", "sandbox", *SERVICES}


def test_the_only_imports_that_may_go_up_are_those_of_commands() -> None:
    text = (ROOT / ".importlinter").read_text()
    exceptions = re.findall(r"(\S+) -> (\S+)", text)
    assert exceptions
    for importer, imported in exceptions:
        service, name = importer.rsplit(".", 1)
        assert name == "commands"
        assert imported in {f"{service}.app", f"{service}.worker"}
