"""Attacks on a stack of their own; one part of them a run, unless `--all` is given."""

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.attacks.comparison import Bench, open_bench
from tests.attacks.stage import Stage, open_stage

PARTS = 6


@pytest.fixture(scope="session")
async def stage() -> AsyncIterator[Stage]:
    """One stack for all attacks."""
    async with open_stage() as stage:
        yield stage


@pytest.fixture(scope="session")
async def bench(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """One spied gateway for all attempts."""
    folder: Path = tmp_path_factory.mktemp("bench")
    async with open_bench(stage, folder) as bench:
        yield bench


def rotation() -> int:
    """Return the number that chooses the part."""
    if given := os.environ.get("MAINSTEM_ROTATION"):
        return int(given)
    counted = subprocess.run(
        ["git", "rev-list", "--count", "HEAD"], capture_output=True, text=True, check=False
    )
    return int(counted.stdout) if counted.returncode == 0 else 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out all rotating tests but one part of them; a test that is named on the command line stays."""
    is_chosen = config.getoption("--all") or any("::" in argument for argument in config.args)
    rotating = [] if is_chosen else [item for item in items if item.get_closest_marker("rotating")]
    number = rotation() % PARTS
    left_out = [item for index, item in enumerate(rotating) if index % PARTS != number]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which part of the attacks ran, and how it is run again."""
    if not config.getoption("--all"):
        terminalreporter.write_line(
            f"attacks: part {rotation() % PARTS + 1} of {PARTS}, MAINSTEM_ROTATION={rotation()}"
        )
