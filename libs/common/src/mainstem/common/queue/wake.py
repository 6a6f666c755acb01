"""Wake-ups over Redis, sent and received by arq; Postgres is the queue of record.

The only module that imports arq. Losing Redis loses no work: each drain loop polls every second.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import msgspec
import structlog
from arq.connections import ArqRedis
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

WAKE_TTL_MS = 5_000
POLL_SECONDS = 0.05
BACKOFF_SECONDS = (1.0, 30.0)
CANCEL_SECONDS = 0.1
"""Time from one cancellation of a task to the next."""
REDIS_ERRORS = (RedisError, OSError, TimeoutError)

WakeQueue = ArqRedis
"""Connections to Redis by which wake-ups are sent and received."""

log = structlog.get_logger()


def queue_name(service: str) -> str:
    """Return the name of a service's arq queue."""
    return f"mainstem:{service}:wake"


def flag_name(service: str) -> str:
    """Return the key that says a wake-up is already on its way."""
    return f"wake:{service}"


def connect(redis_url: str) -> WakeQueue:
    """Return connections to Redis, opened when they are first used."""
    pool = BlockingConnectionPool.from_url(
        redis_url, max_connections=4, timeout=1, socket_timeout=1, socket_connect_timeout=1
    )
    return ArqRedis(pool, job_serializer=msgspec.msgpack.encode, job_deserializer=msgspec.msgpack.decode)


async def close(redis: WakeQueue) -> None:
    """Close the connections; Redis may be away."""
    with suppress(*REDIS_ERRORS):
        # A pool that was given to the client is not closed with it unless one says so.
        await redis.aclose(close_connection_pool=True)


async def send(redis: WakeQueue, service: str) -> None:
    """Enqueue a wake-up for the workers of a service, unless one is on its way.

    Raises:
        REDIS_ERRORS: Redis did not take it.
    """
    if await redis.set(flag_name(service), b"1", nx=True, px=WAKE_TTL_MS):
        # The job's id is random: a fixed one is refused as long as its job runs.
        await redis.enqueue_job("wake", _queue_name=queue_name(service))


async def listen(service: str, redis_url: str, on_wake: Callable[[], None]) -> None:
    """Run the worker of arq until cancelled, and again after Redis took it down.

    Args:
        service: the service whose wake-ups are received.
        redis_url: the Redis that has them.
        on_wake: called after each wake-up.
    """
    pause, longest = BACKOFF_SECONDS
    while True:
        redis = connect(redis_url)
        worker = _arq_worker(service, redis, on_wake)
        started_at = time.monotonic()
        running = asyncio.create_task(worker.async_run())
        try:
            await asyncio.wait([running])
            running.result()
        except Exception as error:  # noqa: BLE001 -- arq lets whatever its Redis calls raise end the worker
            if time.monotonic() - started_at > longest:
                pause = BACKOFF_SECONDS[0]
            log.warning("wake_listener.ended", error=type(error).__name__, again_in_seconds=pause)
        finally:
            try:
                await cancel(running)
                # arq cancels its jobs here and lets that come out, like whatever Redis answers; neither may
                # end the listener, nor leave the connections open.
                await asyncio.gather(running, worker.close(), return_exceptions=True)
            finally:
                await close(redis)
        await asyncio.sleep(pause)
        pause = min(pause * 2, longest)


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended; its error, if it has one, is left to the caller."""
    # redis-py sends by `asyncio.wait_for`, which up to Python 3.11 drops a cancellation that comes together
    # with the result: the task would run on for ever (https://github.com/python/cpython/issues/86296).
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_SECONDS)


def _arq_worker(service: str, redis: WakeQueue, on_wake: Callable[[], None]) -> Worker:
    async def wake(context: dict[Any, Any]) -> None:
        # It never raises: a wake-up that is lost costs a second.
        with suppress(*REDIS_ERRORS):
            await context["redis"].delete(flag_name(service))
        on_wake()

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
