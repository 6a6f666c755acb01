import ast
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tree import ROOT, list_files, list_imports, list_sources, name_of, parse

OWN_TIME = re.compile(
    r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\s*\(\s*\)"
    r"|\b(current_timestamp|current_date|current_time|localtimestamp)\b",
    re.IGNORECASE,
)
"""Postgres' own time in a statement. World time comes as a parameter instead."""

MAY_ASK_POSTGRES_THE_TIME = {
    "libs/common/src/mainstem/common/queue/outbox.py": "leases of entries",
    "libs/sandbox/src/mainstem/sandbox/demo/stops.py": "how long a stop took on the machine",
    "libs/sandbox/src/mainstem/sandbox/world/settled.py": "whether a lease still holds",
    "services/billing/src/mainstem/billing/operations/storage.py": "leases of operations",
    "services/billing/src/mainstem/billing/checkout/storage.py": "leases of reservations",
    "services/ingest/src/mainstem/ingest/pipeline/fetches.py": "`as_of`, read just before a fetch",
    "services/ingest/src/mainstem/ingest/inbox/scheduling.py": "leases of events, which are passed over",
    "services/ingest/src/mainstem/ingest/inbox/claims.py": "leases of events",
    "services/sync/src/mainstem/sync/delivery/storage.py": "leases of deliveries",
    "services/sync/src/mainstem/sync/delivery/slots.py": "leases of slots",
}
"""Files whose statements may, and what for."""

NO_LEASES = {name for name, reason in MAY_ASK_POSTGRES_THE_TIME.items() if "lease" not in reason}

ONLY_IMPORTERS = {
    "arq": ("libs/common/src/mainstem/common/queue/wake.py",),
    "httptools": (
        "libs/common/src/mainstem/common/http/connections/strict.py",
        "services/gateway/src/mainstem/gateway/proxy/answer.py",
    ),
    "pyreqwest": ("libs/common/src/mainstem/common/http/calls/transport.py",),
    "stripe": (
        "services/billing/src/mainstem/billing/stripe/client.py",
        "services/ingest/src/mainstem/ingest/providers/stripe/reader.py",
        "services/ingest/src/mainstem/ingest/providers/stripe/signatures.py",
    ),
}
"""By package: the files under services and libs/common that import it, and no other may."""


def list_service_sources() -> list[Path]:
    return [path for path in list_sources() if not name_of(path).startswith("libs/sandbox/")]


@pytest.mark.parametrize("package", sorted(ONLY_IMPORTERS))
def test_replaceable_package_is_imported_in_its_place_alone(package: str) -> None:
    importers = {
        name_of(path)
        for path in list_service_sources()
        if any(name.split(".")[0] == package for name in list_imports(path))
    }
    assert importers == set(ONLY_IMPORTERS[package])


def list_texts(path: Path) -> Iterator[str]:
    """Yield the file's string constants, docstrings and other bare strings left out."""
    tree = parse(path)
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.value


def list_askings(path: Path) -> list[str]:
    """Return the lines of the file's statements that ask Postgres for the time."""
    return [line for text in list_texts(path) for line in text.splitlines() if OWN_TIME.search(line)]


def test_statements_take_world_time_as_a_parameter() -> None:
    asking = {name_of(path) for path in list_sources() if list_askings(path)}
    assert asking == MAY_ASK_POSTGRES_THE_TIME.keys()


def test_postgres_time_is_compared_and_written_only_where_leases_expire() -> None:
    for name in MAY_ASK_POSTGRES_THE_TIME.keys() - NO_LEASES:
        assert [line for line in list_askings(ROOT / name) if "expires_at" not in line] == [], name


def list_functions() -> Iterator[tuple[str, int]]:
    for path in list_sources():
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name_of(path)}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def test_nine_functions_of_ten_have_thirty_five_lines_at_most() -> None:
    lengths = sorted(length for _, length in list_functions())
    assert lengths[math.ceil(len(lengths) * 0.9) - 1] <= 35


def test_no_function_is_longer_than_a_screen() -> None:
    assert [(name, length) for name, length in list_functions() if length > 60] == []


def list_patches(path: Path) -> Iterator[str]:
    """Yield what a test replaces by `monkeypatch.setattr`, and the mocking packages it imports."""
    yield from (f"import {name}" for name in list_imports(path) if "mock" in name)
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("monkeypatch.setattr"):
            yield ast.unparse(node.args[0]).strip("'")


def test_tests_replace_nothing_of_ours() -> None:
    tests = [path for path in list_files(".py") if name_of(path).startswith("tests/")]
    found = {(name_of(path), patch) for path in tests for patch in list_patches(path)}
    assert {one for one in found if one[1].partition(".")[0] not in sys.stdlib_module_names} == set()


def test_every_service_has_the_same_files() -> None:
    for service in ("ingest", "sync", "billing", "gateway"):
        folder = ROOT / "services" / service
        package = folder / "src" / "mainstem" / service
        for name in ("app.py", "settings.py"):
            assert (package / name).exists(), f"{service}/{name}"
        assert (package / "commands.py").exists() or (package / "commands" / "__init__.py").exists()
        for name in ("pyproject.toml", "README.md", "requirements.lock"):
            assert (folder / name).exists(), f"{service}/{name}"
