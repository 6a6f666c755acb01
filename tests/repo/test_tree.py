import re
from pathlib import Path

import pytest
from tree import ROOT, list_files, name_of, parse

# Spelled in pieces, so that this file does not hold what it looks for.
REGISTRIES = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "crates" + ".io",
    "proxy.go" + "lang.org",
    "repo1.maven" + ".org",
    "ana" + "conda.org",
]
MACHINES_PATHS = [
    r"/wo" + r"rk/",
    r"/ro" + r"ot/",
    r"/ho" + r"me/\w",
    r"/Us" + r"ers/\w",
    r"\.py" + r"env/",
    r"\b[A-Z]:" + r"\\\\?Users",
]
LOCKS_WITH_ADDRESSES = {
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
}
BANNED_STEMS = {"util", "helper", "misc", "base", "manager", "handler", "core", "service"}


def search(pattern: str) -> list[str]:
    """Return `file: line` wherever a committed text holds the pattern."""
    found = []
    for path in list_files():
        text = path.read_bytes().decode(errors="replace")
        lines = text.splitlines() if re.search(pattern, text) else []
        found += [f"{name_of(path)}: {line.strip()[:120]}" for line in lines if re.search(pattern, line)]
    return found


@pytest.mark.parametrize("address", REGISTRIES)
def test_no_file_names_a_package_registry(address: str) -> None:
    assert search(re.escape(address)) == []


@pytest.mark.parametrize("path", MACHINES_PATHS)
def test_no_file_names_a_path_of_somebodys_machine(path: str) -> None:
    assert search(path) == []


def test_no_lock_file_that_records_addresses_is_committed() -> None:
    assert [name_of(path) for path in list_files() if path.name in LOCKS_WITH_ADDRESSES] == []


def test_no_file_has_a_name_that_says_nothing() -> None:
    stems = {path: path.stem.lower().removesuffix("s") for path in list_files(".py", ".md", ".sh")}
    assert [name_of(path) for path, stem in stems.items() if stem in BANNED_STEMS] == []


def test_the_namespace_belongs_to_no_distribution_and_each_portion_is_a_package() -> None:
    namespaces = sorted(path for path in ROOT.glob("*/*/src/mainstem") if path.is_dir())
    assert len(namespaces) == 6
    for namespace in namespaces:
        assert not (namespace / "__init__.py").exists()
        (portion,) = [child for child in namespace.iterdir() if child.is_dir()]
        assert (portion / "__init__.py").exists()


def test_every_module_opens_with_a_sentence() -> None:
    outside_tests = [path for path in list_files(".py") if "tests" not in path.relative_to(ROOT).parts]
    openings = {name_of(path): opening_of(path) for path in outside_tests}
    assert openings
    assert [name for name, opening in openings.items() if not re.search(r"[.:?]$", opening)] == []


def opening_of(path: Path) -> str:
    """Return the first paragraph of the module's docstring."""
    for node in parse(path).body[:1]:
        value = getattr(getattr(node, "value", None), "value", None)
        if isinstance(value, str):
            return value.strip().split("\n\n")[0].strip()
    return ""


def test_files_stay_under_three_hundred_lines() -> None:
    # A migration is one long list of statements that nobody edits again.
    sources = [path for path in list_files(".py") if path.parent.name != "versions"]
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in sources}
    assert {name: length for name, length in lengths.items() if length >= 300} == {}
