"""Waking workers: Postgres is the queue of record, arq only says "look". Losing Redis loses nothing.

The only module that imports arq. A `Waker` stands beside whoever commits; a worker runs `drain` loops
beside arq's own, and each looks for work when it is woken, or every second by itself.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import structlog
from arq.connections import ArqRedis
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from mainstem.common import telemetry

IDLE_SECONDS = 1.0
WAKE_TTL_MS = 5_000
POLL_SECONDS = 0.05
PAUSE_SECONDS = 0.02
"""Between two wake-ups that are sent: who commits a thousand times a second need not say so each time."""
STOP_SECONDS = 10.0
STALLED_SECONDS = 120.0
BACKOFF_SECONDS = (1.0, 30.0)

log = structlog.get_logger()
wake_failures = telemetry.meter().create_counter(
    "mainstem_wake_failures", description="Wake-ups that Redis did not take; the work is found by polling."
)
drain_failures = telemetry.meter().create_counter(
    "mainstem_drain_failures", description="Rounds of a drain loop that ended in an error."
)

REDIS_ERRORS = (RedisError, OSError, TimeoutError)


def queue_name(service: str) -> str:
    """Return the name of a service's arq queue."""
    return f"mainstem:{service}:wake"


def flag_name(service: str) -> str:
    """Return the key that says a wake-up is already on its way."""
    return f"wake:{service}"


class Waker:
    """Tells the workers of a service to look, off the response path and after the commit; never raises."""

    def __init__(self, redis: ArqRedis | None) -> None:
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
            if await self._redis.set(flag_name(service), b"1", nx=True, px=WAKE_TTL_MS):
                # The job's id is random: a fixed one is refused as long as its job runs.
                await self._redis.enqueue_job("wake", _queue_name=queue_name(service))
        except REDIS_ERRORS as error:
            wake_failures.add(1, {"service": service})
            log.debug("wake.failed", service_woken=service, error=type(error).__name__)


@asynccontextmanager
async def open_waker(redis_url: str | None) -> AsyncIterator[Waker]:
    """Open a waker; it needs no Redis to start, and none to go on."""
    redis = None if redis_url is None else _connect(redis_url)
    waker = Waker(redis)
    sender = asyncio.create_task(waker.run(), name="waker")
    try:
        yield waker
    finally:
        await _end(sender)
        if redis is not None:
            await _close(redis)


def _connect(redis_url: str) -> ArqRedis:
    pool = BlockingConnectionPool.from_url(
        redis_url, max_connections=4, timeout=1, socket_timeout=1, socket_connect_timeout=1
    )
    return ArqRedis(pool, job_serializer=msgspec.msgpack.encode, job_deserializer=msgspec.msgpack.decode)


async def _close(redis: ArqRedis) -> None:
    with suppress(*REDIS_ERRORS):
        # A pool that was given to the client is not closed with it unless one says so.
        await redis.aclose(close_connection_pool=True)


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
    loops = [DrainLoop(drain, lambda: waker.wake(service)) for drain in drains]
    tasks = [asyncio.create_task(loop.run(), name=f"drain:{loop.drain.name}") for loop in loops]
    listener = asyncio.create_task(_listen(service, redis_url, loops), name="wake-listener")
    try:
        yield loops
    finally:
        for loop in loops:
            loop.stop()
        await asyncio.wait(tasks, timeout=STOP_SECONDS)
        for task in (listener, *tasks):
            await _end(task)


async def _listen(service: str, redis_url: str | None, loops: Sequence[DrainLoop]) -> None:
    """Run arq until cancelled, and again whenever Redis took it down."""
    if redis_url is None:
        return
    pause, longest = BACKOFF_SECONDS
    while True:
        redis = _connect(redis_url)
        worker = _arq_worker(service, redis, loops)
        started_at = time.monotonic()
        try:
            await worker.async_run()
        except Exception as error:  # noqa: BLE001 -- arq lets whatever its Redis calls raise end the worker
            if time.monotonic() - started_at > longest:
                pause = BACKOFF_SECONDS[0]
            log.warning("wake_listener.ended", error=type(error).__name__, again_in_seconds=pause)
        finally:
            # arq cancels its jobs here and lets that come out, like whatever Redis answers; neither may
            # end the listener, nor leave the connections open.
            await asyncio.gather(worker.close(), return_exceptions=True)
            await _close(redis)
        await asyncio.sleep(pause)
        pause = min(pause * 2, longest)


def _arq_worker(service: str, redis: ArqRedis, loops: Sequence[DrainLoop]) -> Worker:
    async def wake(context: dict[Any, Any]) -> None:
        # It never raises: a wake-up that is lost costs a second.
        with suppress(*REDIS_ERRORS):
            await context["redis"].delete(flag_name(service))
        for loop in loops:
            loop.called.set()

    return Worker(
        functions=[func(cast("WorkerCoroutine", wake), name="wake")],
        queue_name=queue_name(service),
        redis_pool=redis,
        handle_signals=False,
        poll_delay=POLL_SECONDS,
        keep_result=0,
        job_serializer=msgspec.msgpack.encode,
        job_deserializer=msgspec.msgpack.decode,
    )


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
