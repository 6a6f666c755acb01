import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_stack
from pids import all_end, list_descendants

from mainstem.sandbox.servers.process import list_children, wait_until
from mainstem.sandbox.stack.folder import Stack

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.rotating]


ROOT = Path(__file__).parents[3]


SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGKILL]


def start_tiny_stack(
    folder: Path, *, below: tuple[str, ...] = ()
) -> tuple["subprocess.Popen[bytes]", list[int]]:
    # A killed launcher cannot remove its fresh folder, so that is put where the test will.
    process = subprocess.Popen(
        [*below, sys.executable, tiny_stack.__file__],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    assert process.stdout
    with process.stdout:
        pids = json.loads(process.stdout.readline())
    return process, pids


@pytest.mark.parametrize("number", SIGNALS)
async def test_no_part_outlives_its_launcher(folder: Path, number: signal.Signals) -> None:
    launcher, pids = start_tiny_stack(folder)
    os.kill(launcher.pid, number)
    assert await all_end(pids)
    launcher.wait()


@pytest.mark.parametrize("number", SIGNALS)
async def test_no_launcher_outlives_who_started_it(folder: Path, number: signal.Signals) -> None:
    starter = "import subprocess, sys; subprocess.run(sys.argv[1:], check=False)"
    parent, pids = start_tiny_stack(folder, below=(sys.executable, "-c", starter))
    os.kill(parent.pid, number)
    assert await all_end([parent.pid, *pids])
    parent.wait()


def start_by_just(run: Path) -> "subprocess.Popen[bytes]":
    arguments = ("up", "--ephemeral", "--no-valkey", "--run", run)
    environment = {**os.environ, "TMPDIR": str(run)}
    return subprocess.Popen(
        [ROOT / "just", *arguments], env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )


def is_just(pid: int) -> bool:
    """Whether the wrapper has set up what was missing, and become just."""
    return Path(f"/proc/{pid}/comm").read_text().strip() == "just"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("link", ["just", "launcher"])
async def test_no_part_outlives_any_link_of_the_chain(
    folder: Path, link: str, number: signal.Signals
) -> None:
    # The wrapper becomes just, and just's shell becomes the launcher: these are all the pids there are.
    just = start_by_just(folder)
    assert await wait_until((folder / "stack.json").exists, timeout_seconds=60)
    launcher = Stack.from_json((folder / "stack.json").read_text()).pid
    assert list_children(just.pid) == [launcher]
    pids = list_descendants(just.pid)
    os.kill({"just": just.pid, "launcher": launcher}[link], number)
    assert await all_end(pids)
    just.wait()


@pytest.mark.parametrize("delay_seconds", [0.02, 0.1, 0.3, 1.0])
async def test_no_launcher_is_left_by_a_just_that_is_killed_at_once(
    folder: Path, delay_seconds: float
) -> None:
    just = start_by_just(folder)
    assert await wait_until(lambda: is_just(just.pid) and list_children(just.pid) != [], timeout_seconds=60)
    await asyncio.sleep(delay_seconds)
    pids = list_descendants(just.pid)
    just.kill()
    just.wait()
    assert await all_end(pids)
