"""Isolation and end of the browser that the story runs in."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import lone_browser
import pytest
from chromium import find_chromium, open_chromium
from pids import all_end
from playwright.async_api import Error

pytestmark = pytest.mark.slow


async def test_host_other_than_127_0_0_1_does_not_resolve(tmp_path: Path) -> None:
    async with open_chromium(find_chromium(), tmp_path) as window:
        # Without the rule, the connection to either would be refused.
        for host in ("localhost", "127.0.0.2"):
            with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
                await window.open(f"http://{host}:4999/")


@dataclass
class Opener:
    """Process that holds a browser open."""

    pid: int
    below: list[int]
    """Pids of the driver and of the browser's processes."""


@pytest.fixture
def opener(tmp_path: Path) -> Iterator[Opener]:
    find_chromium()
    arguments = [sys.executable, lone_browser.__file__, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        try:
            yield Opener(process.pid, json.loads(process.stdout.readline()))
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("send", "number"),
    [
        pytest.param(os.killpg, signal.SIGINT, id="ctrl-c"),
        pytest.param(os.kill, signal.SIGKILL, id="opener-killed"),
        pytest.param(os.killpg, signal.SIGKILL, id="opener-and-driver-killed"),
    ],
)
async def test_browser_and_driver_end_with_the_process_that_opened_them(
    opener: Opener, send: Callable[[int, int], None], number: signal.Signals
) -> None:
    assert len(opener.below) > 2
    send(opener.pid, number)
    assert await all_end([opener.pid, *opener.below])
