"""Drain loops of a worker: claim and work off until a claim comes back empty, then wait for a wake-up."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from mainstem.common.queue.wake import BACKOFF_SECONDS, listen
from mainstem.common.queue.waker import Waker
from mainstem.common.telemetry import metrics

IDLE_SECONDS = 1.0
STOP_SECONDS = 10.0
STALLED_SECONDS = 120.0

log = structlog.get_logger()
drain_failures = metrics.meter().create_counter(
    "mainstem_drain_failures", description="Rounds of a drain loop that ended in an error."
)


@dataclass(frozen=True)
class Drain:
    """Work that a worker claims again and again.

    `work` claims up to `limit` rows once, works them off and returns how many it claimed.
    """

    name: str
    work: Callable[[], Awaitable[int]]
    limit: int


class DrainLoop:
    """Works a drain off until a claim comes back empty, then waits for a wake-up or a second."""

    def __init__(self, drain: Drain, wake_sibling: Callable[[], None]) -> None:
        self.drain = drain
        self.called = asyncio.Event()
        self.seen_at = time.monotonic()
        self._wake_sibling = wake_sibling
        self._stopping = False

    @property
    def is_alive(self) -> bool:
        """Whether the loop came round lately."""
        return time.monotonic() - self.seen_at < STALLED_SECONDS

    def stop(self) -> None:
        """Let the loop end after the work it holds."""
        self._stopping = True
        self.called.set()

    async def run(self) -> None:
        """Run until stopped. An error costs a pause, never the loop."""
        pause, longest = BACKOFF_SECONDS
        while not self._stopping:
            self.called.clear()
            try:
                await self._work_off()
                pause = BACKOFF_SECONDS[0]
                await self._wait(IDLE_SECONDS * random.uniform(0.8, 1.2))
            except Exception as error:
                drain_failures.add(1, {"drain": self.drain.name})
                log.exception("drain.failed", drain=self.drain.name, error=type(error).__name__)
                await self._wait(pause)
                pause = min(pause * 2, longest)

    async def _work_off(self) -> None:
        claimed = self.drain.limit
        while claimed and not self._stopping:
            self.seen_at = time.monotonic()
            claimed = await self.drain.work()
            if claimed >= self.drain.limit:
                self._wake_sibling()

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.called.wait(), seconds)


@asynccontextmanager
async def open_drains(
    service: str, redis_url: str | None, drains: Sequence[Drain], waker: Waker
) -> AsyncIterator[Sequence[DrainLoop]]:
    """Run the drains of a worker beside arq's listener; at the end each finishes what it holds."""

    def call_all() -> None:
        for loop in loops:
            loop.called.set()

    loops = [DrainLoop(drain, lambda: waker.wake(service)) for drain in drains]
    tasks = [asyncio.create_task(loop.run(), name=f"drain:{loop.drain.name}") for loop in loops]
    if redis_url is None:
        listeners = []
    else:
        listeners = [asyncio.create_task(listen(service, redis_url, call_all), name="wake-listener")]
    try:
        yield loops
    finally:
        for loop in loops:
            loop.stop()
        await asyncio.wait(tasks, timeout=STOP_SECONDS)
        for task in (*listeners, *tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
