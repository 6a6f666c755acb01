"""Watchdog of the event loop: measures its lag, and names in log and metric the code that held it.

A thread looks at the loop's last heartbeat and, if that is late, at the stack of the loop's thread. asyncio's
own debug mode finds the same, and makes every callback slower.
"""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType

import structlog

from mainstem.common.telemetry import metrics

HELD_SECONDS = 0.1
"""A loop that runs nothing else for longer than this counts as held."""
BEAT_SECONDS = 0.025
UNKNOWN = "unknown"
PACKAGE = "mainstem."
FRAMES = 6

log = structlog.get_logger()
lag = metrics.meter().create_histogram(
    "mainstem_loop_lag",
    unit="s",
    description="How much later than due the event loop ran its heartbeat.",
    explicit_bucket_boundaries_advisory=[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0],
)
holds = metrics.meter().create_counter(
    "mainstem_loop_blocked",
    description="Times that some code held the event loop for over 100 ms, by that code.",
)


class Watchdog:
    """Heartbeat in the loop, and a thread that looks at it."""

    def __init__(self) -> None:
        self._loop_thread = threading.get_ident()
        self._beat_at = time.monotonic()
        self._stack: list[FrameType] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)

    async def run(self) -> None:
        """Beat until cancelled."""
        self._thread.start()
        try:
            while True:
                self._beat_at = time.monotonic()
                await asyncio.sleep(BEAT_SECONDS)
                self._note(time.monotonic() - self._beat_at - BEAT_SECONDS)
        finally:
            self._ended.set()

    def _note(self, late_seconds: float) -> None:
        lag.record(max(late_seconds, 0.0))
        if late_seconds > HELD_SECONDS:
            where, duration_ms = _place(self._stack), round(late_seconds * 1_000)
            holds.add(1, {"where": where})
            log.warning("loop.blocked", where=where, duration_ms=duration_ms, frames=self._frames())
        self._stack = []

    def _frames(self) -> list[str]:
        return [_name(frame) for frame in self._stack[:FRAMES]]

    def _look(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            late = time.monotonic() - self._beat_at - BEAT_SECONDS
            if late > HELD_SECONDS / 2 and not self._stack:
                self._stack = _stack_of(sys._current_frames().get(self._loop_thread))  # noqa: SLF001 -- documented, and the only way


def _stack_of(frame: FrameType | None) -> list[FrameType]:
    """Return the frames of a thread, innermost first."""
    stack = []
    while frame is not None:
        stack.append(frame)
        frame = frame.f_back
    return stack


def _place(stack: Sequence[FrameType]) -> str:
    """Return `file:function` of the innermost frame of our own code, else of the innermost frame.

    A stack of the loop alone names nothing.
    """
    if not stack or _is_loop(stack[0]):
        return UNKNOWN
    own = [frame for frame in stack if str(frame.f_globals.get("__name__")).startswith(PACKAGE)]
    return _name((own or stack)[0])


def _is_loop(frame: FrameType) -> bool:
    """Whether no callback runs: the process got no CPU, or the loop waits."""
    return Path(frame.f_code.co_filename).parent.name == "asyncio" or "selectors" in frame.f_code.co_filename


def _name(frame: FrameType) -> str:
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_qualname}"


@asynccontextmanager
async def open_watchdog() -> AsyncIterator[None]:
    """Watch the running loop until the end."""
    watching = asyncio.create_task(Watchdog().run(), name="watchdog")
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
