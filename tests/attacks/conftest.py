"""Stack for the attacks, and a gateway whose upstream records what it receives."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.attacks.comparison import Bench, open_bench
from tests.attacks.stage import Stage, open_stage


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
