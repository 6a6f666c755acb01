import asyncio
import os
import signal

import pytest
from rich.console import Console

from mainstem.sandbox.stack.up import Progress, cancel_on_signal

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_cancels_once_and_a_second_one_does_not_hurry_the_end(number: signal.Signals) -> None:
    ended: list[str] = []

    async def work() -> None:
        with cancel_on_signal():
            try:
                await asyncio.sleep(60)
            finally:
                os.kill(os.getpid(), number)
                await asyncio.sleep(0.05)
                ended.append("tidied up")

    task = asyncio.create_task(work())
    await asyncio.sleep(0.01)
    os.kill(os.getpid(), number)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["tidied up"]


def test_progress_tells_what_is_ready_and_what_happened() -> None:
    console = Console(record=True, width=80, force_terminal=False)
    progress = Progress(console)
    progress("postgres", "starting")
    progress("postgres", "ready")
    progress("sync", "ended with [code] 3")
    lines = console.export_text().splitlines()
    assert lines[0].split()[:2] == ["✓", "postgres"]
    assert lines[1] == "  · sync: ended with [code] 3"
