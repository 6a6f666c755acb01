"""Waker: sends wake-ups to the workers of a service, after the commit and off the response path."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from mainstem.common.queue import wake
from mainstem.common.queue.wake import REDIS_ERRORS, WakeQueue
from mainstem.common.telemetry import metrics

PAUSE_SECONDS = 0.02
"""Between two wake-ups that are sent: who commits a thousand times a second need not say so each time."""

log = structlog.get_logger()
wake_failures = metrics.meter().create_counter(
    "mainstem_wake_failures", description="Wake-ups that Redis did not take; the work is found by polling."
)


class Waker:
    """Tells the workers of a service to look, off the response path and after the commit; never raises."""

    def __init__(self, redis: WakeQueue | None) -> None:
        self._redis = redis
        self._wanted: set[str] = set()
        self._called = asyncio.Event()

    def wake(self, service: str) -> None:
        """Have the workers of `service` look soon. Calls that come while one is sent become one."""
        self._wanted.add(service)
        self._called.set()

    async def run(self) -> None:
        """Send what is wanted, until cancelled."""
        while True:
            await self._called.wait()
            self._called.clear()
            while self._wanted:
                await self._send(self._wanted.pop())
            await asyncio.sleep(PAUSE_SECONDS)

    async def is_up(self) -> bool:
        """Return whether Redis answers."""
        if self._redis is None:
            return False
        with suppress(*REDIS_ERRORS):
            return bool(await self._redis.ping())
        return False

    async def _send(self, service: str) -> None:
        if self._redis is None:
            return
        try:
            await wake.send(self._redis, service)
        except REDIS_ERRORS as error:
            wake_failures.add(1, {"service": service})
            log.debug("wake.failed", service_woken=service, error=type(error).__name__)


@asynccontextmanager
async def open_waker(redis_url: str | None) -> AsyncIterator[Waker]:
    """Open a waker; it needs no Redis to start, and none to go on."""
    redis = None if redis_url is None else wake.connect(redis_url)
    waker = Waker(redis)
    sender = asyncio.create_task(waker.run(), name="waker")
    try:
        yield waker
    finally:
        try:
            await wake.cancel(sender)
        finally:
            if redis is not None:
                await wake.close(redis)
