"""What the faults do: to the stack's processes and stores, and to the outside world."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError
from tests.chaos.control import Control
from tests.chaos.schedule import OUTLAST, Strike
from tests.chaos.tables import AWAY

from mainstem.sandbox.servers.process import ServerError
from mainstem.sandbox.stack.folder import Stack
from mainstem.sandbox.stack.launcher import Launcher

BUSY_SECONDS = 5
# No statement inside: nothing but an interrupt, or its end, gets a backend out of this.
BUSY = f"""
DO $$ DECLARE until timestamptz := clock_timestamp() + interval '{BUSY_SECONDS} s';
BEGIN WHILE clock_timestamp() < until LOOP END LOOP; END $$
"""
LOOK_SECONDS = 0.2
STRIPE_TIMEOUT_SECONDS = 11.0
ACOUSTIC_TIMEOUT_SECONDS = 6.5
"""A little more than ingest and sync wait for an answer."""

ACOUSTIC_REFUSAL = (
    "<Envelope><Body><RESULT><SUCCESS>false</SUCCESS></RESULT><Fault><Request/><FaultCode/>"
    "<FaultString>Session has expired or is invalid</FaultString><detail><error><errorid>145</errorid>"
    "</error></detail></Fault></Body></Envelope>"
)
LEAPS_SECONDS = (6 * 3_600, 86_400, 2 * 86_400, 8 * 86_400)
"""How far the world's clock moves: retries fall due, and days and weeks of subscriptions are over."""

Report = Callable[[Strike, str], None]


class Storm:
    """Carries out strikes at their times.

    Args:
        launcher: whose processes are befallen.
        stack: where they are.
        control: of the outside world.
        report: told of each strike, and of what went otherwise than planned.
    """

    def __init__(self, launcher: Launcher, stack: Stack, control: Control, report: Report) -> None:
        self._launcher = launcher
        self._stack = stack
        self._control = control
        self._report = report
        self._busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._calm = asyncio.Lock()
        self.struck: Counter[tuple[str, str]] = Counter()

    async def rage(self, strikes: Sequence[Strike]) -> None:
        """Carry out all strikes; return when the last one is over."""
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for strike in strikes:
                await asyncio.sleep(began + strike.at - asyncio.get_running_loop().time())
                group.create_task(self._carry_out(strike))

    async def _carry_out(self, strike: Strike) -> None:
        # What befalls one thing comes one after the other, in the order planned.
        async with self._busy[strike.target]:
            self._report(strike, "strikes")
            try:
                await self._acts[strike.fault](self, strike)
            except (ServerError, RedisError, httpx.HTTPError, OSError) as error:
                self._report(strike, f"did not: {type(error).__name__}")
            else:
                self.struck[strike.fault, strike.target] += 1

    async def _kill(self, strike: Strike) -> None:
        await self._launcher.kill(strike.target)

    async def _pause(self, strike: Strike) -> None:
        self._launcher.pause(strike.target)
        try:
            await asyncio.sleep(strike.seconds)
        finally:
            self._launcher.resume(strike.target)

    async def _restart(self, strike: Strike) -> None:
        await self._launcher.take_down(strike.target)
        await self._bring_up(strike.target)

    async def _bring_up(self, name: str) -> None:
        while True:
            try:
                return await self._launcher.bring_up(name)
            except ServerError:
                # It needs Postgres to start, which may be down itself.
                await asyncio.sleep(1)

    async def _restart_busy(self, strike: Strike) -> None:
        async with self._computing():
            await self._restart(strike)

    async def _kill_postmaster(self, strike: Strike) -> None:
        """Leave the backends alone with the data folder; the next postmaster has to wait for them."""
        async with self._computing():
            self._launcher.kill_process(strike.target)

    @asynccontextmanager
    async def _computing(self) -> AsyncIterator[None]:
        """Keep a backend busy meanwhile."""
        query = asyncio.create_task(self._compute())
        await asyncio.sleep(0.5)
        try:
            yield
        finally:
            await query

    async def _compute(self) -> None:
        with suppress(*AWAY):
            connection = await asyncpg.connect(self._stack.database_url, timeout=5)
            try:
                await connection.execute(BUSY)
            finally:
                connection.terminate()

    async def _flush(self, _: Strike) -> None:
        async with Redis.from_url(self._stack.redis_url, socket_timeout=5) as redis:
            await redis.flushall()

    async def _time_out(self, strike: Strike) -> None:
        remaining = _from(strike, 1, 4)
        if strike.target == "stripe":
            late = {"method": "GET", "delay_seconds": STRIPE_TIMEOUT_SECONDS}
            await self._script(strike, "delay", remaining=remaining, **late)
        else:
            async with self._calm:
                await self._script(
                    strike, "delay", remaining=remaining, delay_seconds=ACOUSTIC_TIMEOUT_SECONDS
                )

    async def _answer_5xx(self, strike: Strike) -> None:
        await self._script(strike, "status", remaining=_from(strike, 3, 20), status=500 + _from(strike, 0, 4))

    async def _answer_429(self, strike: Strike) -> None:
        headers = {"Retry-After": "1"}
        await self._script(strike, "status", remaining=_from(strike, 3, 20), status=429, headers=headers)

    async def _refuse(self, strike: Strike) -> None:
        remaining, headers = _from(strike, 1, 8), {"content-type": "text/xml"}
        await self._script(
            strike,
            "status",
            remaining=remaining,
            status=200,
            path="XMLAPI",
            headers=headers,
            body=ACOUSTIC_REFUSAL,
        )

    async def _drop(self, strike: Strike) -> None:
        await self._script(strike, "drop", remaining=_from(strike, 2, 12))

    async def _lose_answers(self, strike: Strike) -> None:
        await self._script(strike, "lose_answer", remaining=_from(strike, 2, 12))

    async def _send_twice(self, strike: Strike) -> None:
        await self._script(strike, "duplicate", remaining=_from(strike, 20, 100))

    async def _send_late(self, strike: Strike) -> None:
        await self._script(strike, "delay", remaining=_from(strike, 2, 6), delay_seconds=strike.seconds)

    async def _fail(self, strike: Strike) -> None:
        await self._script(strike, "drop", remaining=_from(strike, 5, 40))

    async def _script(self, strike: Strike, kind: str, **more: Any) -> None:
        target = "stripe.webhook" if strike.target == "webhooks" else strike.target
        await self._control.script(target, kind, **more)

    async def _reverse(self, strike: Strike) -> None:
        await self._control.hold()
        await asyncio.sleep(strike.seconds)
        await self._control.release(order="reversed", times=2)

    async def _leap(self, strike: Strike) -> None:
        """Move the clock while nothing is late on its way to Acoustic.

        Sync sends again after a minute of the world's time what may have been lost on its way; a leap that
        takes that minute from a request which is still on its way would undo this, as no real clock does.
        """
        async with self._calm:
            await self._control.clear("acoustic")
            await until_quiet_at_acoustic(self._control)
            await self._control.advance(LEAPS_SECONDS[_from(strike, 0, len(LEAPS_SECONDS) - 1)])

    _acts: Mapping[str, Callable[["Storm", Strike], Awaitable[None]]] = {
        "kill": _kill,
        "restart": _restart,
        "pause": _pause,
        OUTLAST: _pause,
        "restart while it computes": _restart_busy,
        "kill its postmaster while it computes": _kill_postmaster,
        "flush": _flush,
        "time out": _time_out,
        "answer 5xx": _answer_5xx,
        "answer 429": _answer_429,
        "refuse": _refuse,
        "drop": _drop,
        "lose answers": _lose_answers,
        "send twice": _send_twice,
        "send late": _send_late,
        "fail": _fail,
        "send in reverse, twice": _reverse,
        "move forward": _leap,
    }


async def until_quiet_at_acoustic(control: Control) -> None:
    """Return when no request is under way at Acoustic."""
    while (await control.holdings("acoustic"))["requests"]["under_way"]:  # noqa: ASYNC110 -- it sets no event of ours
        await asyncio.sleep(LOOK_SECONDS)


def _from(strike: Strike, least: int, most: int) -> int:
    """Return a number of the range, as the strike's chance has it."""
    return least + min(int(strike.chance * (most - least + 1)), most - least)
