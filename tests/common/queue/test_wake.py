import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from redis.asyncio import Redis

from mainstem.common.queue import wake
from mainstem.common.queue.drain import IDLE_SECONDS, Drain, DrainLoop, open_drains
from mainstem.common.queue.waker import Waker, open_waker
from mainstem.sandbox.servers.ports import Ports
from mainstem.sandbox.servers.valkey import Valkey

SOON = IDLE_SECONDS * 0.5
"""Well before the idle poll would have looked."""


class Rows:
    """Rows that a drain claims, and when it looked for them."""

    def __init__(self, limit: int = 10) -> None:
        self.waiting = 0
        self.looks: list[float] = []
        self.drain = Drain("rows", self.work, limit)
        self._looked = asyncio.Condition()

    async def work(self) -> int:
        claimed = min(self.waiting, self.drain.limit)
        self.waiting -= claimed
        self.looks.append(time.monotonic())
        async with self._looked:
            self._looked.notify_all()
        return claimed

    async def wait_for_look(self, timeout_seconds: float = 10.0) -> None:
        """Return at the next claim."""
        seen = len(self.looks)
        async with asyncio.timeout(timeout_seconds), self._looked:
            await self._looked.wait_for(lambda: len(self.looks) > seen)

    async def seconds_until_looked_at(self, wake: Callable[[], None]) -> float:
        """Return how long it takes from a wake-up to the next claim; call it right after one."""
        await asyncio.sleep(0.01)
        started_at = time.monotonic()
        wake()
        await self.wait_for_look()
        return time.monotonic() - started_at


@asynccontextmanager
async def worker(url: str | None, rows: Rows, service: str = "test") -> AsyncIterator[Waker]:
    async with open_waker(url) as waker, open_drains(service, url, [rows.drain], waker):
        yield waker


async def is_woken(rows: Rows, waker: Waker, *, attempts: int = 1) -> bool:
    """Whether wake-ups arrive before the idle poll would have found the work."""
    for _ in range(attempts):
        await rows.wait_for_look()
        seconds = [await rows.seconds_until_looked_at(lambda: waker.wake("test")) for _ in range(3)]
        if statistics.median(seconds) < SOON:
            return True
    return False


async def count_jobs(valkey: Valkey) -> int:
    """Return how many arq jobs were ever enqueued."""
    async with Redis.from_url(valkey.url) as redis:
        return int((await redis.info("commandstats")).get("cmdstat_zadd", {}).get("calls", 0))


async def test_a_wake_up_reaches_a_drain_loop_before_its_idle_poll(own_valkey: Valkey) -> None:
    rows = Rows()
    async with worker(own_valkey.url, rows) as waker:
        assert await is_woken(rows, waker)


async def test_a_process_without_workers_wakes_another_processes_drains(own_valkey: Valkey) -> None:
    rows = Rows()
    async with worker(own_valkey.url, rows), open_waker(own_valkey.url) as edge:
        assert await is_woken(rows, edge)


async def test_a_wake_up_for_another_service_is_not_ours(own_valkey: Valkey) -> None:
    rows = Rows()
    async with worker(own_valkey.url, rows) as waker:
        await rows.wait_for_look()
        assert await rows.seconds_until_looked_at(lambda: waker.wake("another")) > SOON


@pytest.mark.parametrize("configured", [True, False])
async def test_without_redis_from_the_start_work_is_found_by_polling(ports: Ports, configured: bool) -> None:
    # The port is ours and nobody listens on it.
    url = f"redis://127.0.0.1:{ports.take()}/0" if configured else None
    rows = Rows()
    rows.waiting = 25
    async with worker(url, rows) as waker:
        waker.wake("test")
        await rows.wait_for_look()
        await rows.wait_for_look()
        assert rows.waiting == 0
        assert not await waker.is_up()


async def test_the_listener_comes_back_after_redis_was_killed(own_valkey: Valkey) -> None:
    rows = Rows()
    async with worker(own_valkey.url, rows) as waker:
        assert await is_woken(rows, waker)
        await own_valkey.crash()
        waker.wake("test")
        await rows.wait_for_look()
        assert not await waker.is_up()
        await own_valkey.start()
        assert await waker.is_up()
        assert await is_woken(rows, waker, attempts=3)


async def test_wake_ups_arrive_again_after_flushall(own_valkey: Valkey) -> None:
    rows = Rows()
    async with worker(own_valkey.url, rows) as waker, Redis.from_url(own_valkey.url) as redis:
        assert await is_woken(rows, waker)
        waker.wake("test")
        await redis.flushall()
        assert await is_woken(rows, waker, attempts=2)


async def test_five_hundred_wake_ups_are_few_jobs_and_the_last_is_seen(own_valkey: Valkey) -> None:
    rows = Rows()
    async with worker(own_valkey.url, rows) as waker:
        await rows.wait_for_look()
        for number in range(500):
            waker.wake("test")
            if number % 10 == 0:
                await asyncio.sleep(0.001)
        woken_at = time.monotonic()
        await rows.wait_for_look()
        assert rows.looks[-1] >= woken_at
        assert 1 <= await count_jobs(own_valkey) <= 50


async def test_no_job_is_left_behind_in_redis(own_valkey: Valkey) -> None:
    rows = Rows()
    async with worker(own_valkey.url, rows) as waker, Redis.from_url(own_valkey.url) as redis:
        assert await is_woken(rows, waker)
        await rows.wait_for_look()
        assert [key for key in await redis.keys("*") if b"health" not in key] == []


async def test_a_flag_whose_wake_up_was_lost_hides_the_work_for_a_second_at_most(own_valkey: Valkey) -> None:
    rows = Rows()
    async with Redis.from_url(own_valkey.url) as redis, worker(own_valkey.url, rows) as waker:
        await redis.set(wake.flag_name("test"), b"1", px=wake.WAKE_TTL_MS)
        await rows.wait_for_look()
        rows.waiting = 1
        assert await rows.seconds_until_looked_at(lambda: waker.wake("test")) < IDLE_SECONDS * 1.5
        assert rows.waiting == 0
        assert 0 < await redis.pttl(wake.flag_name("test")) <= wake.WAKE_TTL_MS


async def test_a_full_claim_wakes_a_sibling(own_valkey: Valkey) -> None:
    rows = Rows(limit=2)
    async with worker(own_valkey.url, rows):
        await rows.wait_for_look()
        assert await count_jobs(own_valkey) == 0
        rows.waiting = 5
        await rows.wait_for_look()
        while rows.waiting:
            await rows.wait_for_look()
        await rows.wait_for_look()
        assert await count_jobs(own_valkey) >= 1


async def test_a_worker_that_ends_at_any_moment_of_its_listener_ends_in_time(own_valkey: Valkey) -> None:
    # From the connection to the third poll; a wake-up in between has the listener run a job.
    for milliseconds in range(0, 150, 3):
        async with asyncio.timeout(10) as limit, worker(own_valkey.url, Rows()) as waker:
            waker.wake("test")
            await asyncio.sleep(milliseconds / 1_000)
        # The worker's end takes the limit's cancellation for its listener's, so nothing is raised.
        assert not limit.expired()


async def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def lose_a_cancellation() -> None:
        with suppress(asyncio.CancelledError):
            await sent
        await asyncio.Event().wait()

    task = asyncio.create_task(lose_a_cancellation())
    await asyncio.sleep(0)
    await wake.cancel(task)
    assert task.cancelled()


@asynccontextmanager
async def loop_over(work: Callable[[], Awaitable[int]], limit: int = 10) -> AsyncIterator[DrainLoop]:
    """Run one drain loop by itself, without Redis."""
    loop = DrainLoop(Drain("loop", work, limit), wake_sibling=lambda: None)
    task = asyncio.create_task(loop.run())
    try:
        yield loop
    finally:
        loop.stop()
        await task


async def test_only_a_full_claim_wakes_a_sibling() -> None:
    claims = iter((2, 1, 0))
    woken: list[int] = []
    loop: DrainLoop

    async def work() -> int:
        claimed = next(claims)
        if claimed == 0:
            loop.stop()
        return claimed

    loop = DrainLoop(Drain("loop", work, 2), wake_sibling=lambda: woken.append(1))
    await loop.run()
    assert woken == [1]


async def test_work_is_claimed_until_a_claim_comes_back_empty() -> None:
    rows = Rows(limit=3)
    rows.waiting = 10
    started_at = time.monotonic()
    async with loop_over(rows.work, 3):
        while len(rows.looks) < 5:
            await rows.wait_for_look()
    assert rows.waiting == 0
    assert rows.looks[4] - started_at < SOON


async def test_a_drain_that_raises_goes_on_after_a_pause() -> None:
    calls: list[float] = []
    done = asyncio.Event()

    async def work() -> int:
        calls.append(time.monotonic())
        if len(calls) == 1:
            raise ValueError("a bug")
        done.set()
        return 0

    async with loop_over(work) as loop:
        await asyncio.wait_for(done.wait(), 5)
        assert loop.is_alive
    assert calls[1] - calls[0] > wake.BACKOFF_SECONDS[0] * 0.9


async def test_a_wake_up_during_the_last_empty_claim_is_not_lost() -> None:
    calls: list[float] = []
    claiming, answer = asyncio.Event(), asyncio.Event()

    async def work() -> int:
        calls.append(time.monotonic())
        claiming.set()
        await answer.wait()
        return 0

    async with loop_over(work) as loop:
        await claiming.wait()
        # The claim has already seen an empty table, and the row is committed now.
        loop.called.set()
        answered_at = time.monotonic()
        answer.set()
        claiming.clear()
        await asyncio.wait_for(claiming.wait(), 5)
    assert calls[1] - answered_at < SOON


async def test_a_worker_that_ends_finishes_what_it_holds(own_valkey: Valkey) -> None:
    started, finished = asyncio.Event(), asyncio.Event()

    async def work() -> int:
        started.set()
        await asyncio.sleep(0.3)
        finished.set()
        return 1

    async with (
        open_waker(own_valkey.url) as waker,
        open_drains("test", own_valkey.url, [Drain("slow", work, 10)], waker),
    ):
        await started.wait()
    assert finished.is_set()
