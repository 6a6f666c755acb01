"""The demo's story, played on stacks of its own, as a person would start it."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

PATIENCE_SECONDS = 120

pytestmark = pytest.mark.slow


async def demo(folder: Path, *options: str) -> tuple[int, str]:
    """Return the exit code and the output of a demo that writes its files below `folder`."""
    script = Path(sys.executable).with_name("mainstem")
    child = await asyncio.create_subprocess_exec(
        script,
        *("sandbox", "demo", "--run", str(folder / "run"), *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "HOME": str(folder)},
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, _ = await child.communicate()
    return child.returncode or 0, output.decode()


@pytest.mark.rotating
@pytest.mark.parametrize("options", [(), ("--no-valkey",), ("--scramble",)], ids=" ".join)
async def test_every_expectation_holds(folder: Path, options: tuple[str, ...]) -> None:
    code, output = await demo(folder, *options)
    assert code == 0, output
    assert "expectations held" in output
    assert "NO " not in output
