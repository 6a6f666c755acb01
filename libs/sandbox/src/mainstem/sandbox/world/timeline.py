"""Timeline: world time moves step by step over all that falls due, by request or by itself."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import structlog

from mainstem.common.errors import MainstemError
from mainstem.sandbox.stand_ins.protocol import StandIn
from mainstem.sandbox.world.clock import ClockError, MovableClock

TICK_SECONDS = 1.0
"""Interval of the search for what falls due without a request, in machine time."""

MOST_AT_ONE_INSTANT = 1_000
"""Maximum number of times that one instant makes further things due; beyond it, a stand-in is stuck."""

log = structlog.get_logger()


class StuckError(MainstemError):
    """A stand-in says that something is due, and it still is after it fell due."""


class Timeline:
    """Moves the clock, and lets the stand-ins do what falls due on the way."""

    def __init__(self, clock: MovableClock, stand_ins: Sequence[StandIn]) -> None:
        self._clock = clock
        self._stand_ins = stand_ins
        self._moving = asyncio.Lock()

    def now(self) -> datetime:
        """Return the world's time."""
        return self._clock.now()

    async def move_to(self, target: datetime) -> list[datetime]:
        """Move to `target`, and return the instants on the way at which something fell due.

        Returns when all that fell due has been sent. One move at a time; the next one waits. A target that
        has passed when its turn comes leaves the clock as it is.

        Raises:
            StuckError: a stand-in does not get on.
        """
        async with self._moving:
            steps = await self._fall_due_until(target)
            self._forward(target)
            return steps

    async def run(self) -> None:
        """Let fall due what the passing of time alone makes due, for ever."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                async with self._moving:
                    await self._fall_due_until(self._clock.now())
            except Exception:  # one bad step must not stop the world's time
                log.exception("timeline.step_failed")

    async def _fall_due_until(self, target: datetime) -> list[datetime]:
        steps: list[datetime] = []
        repeats = 0
        while (at := self._next_due()) is not None and at <= target:
            repeats = repeats + 1 if steps and steps[-1] == at else 0
            if repeats > MOST_AT_ONE_INSTANT:
                raise StuckError(f"What is due at {at.isoformat()} stays due.")
            if not repeats:
                steps.append(at)
            await self._step(at)
        return steps

    async def _step(self, at: datetime) -> None:
        self._forward(at)
        for stand_in in self._stand_ins:
            if stand_in.next_due() == at:
                await stand_in.fall_due(at)
        for stand_in in self._stand_ins:
            await stand_in.drain()

    def _next_due(self) -> datetime | None:
        due = [at for stand_in in self._stand_ins if (at := stand_in.next_due()) is not None]
        return min(due, default=None)

    def _forward(self, at: datetime) -> None:
        # What is overdue falls due at its own time, although the clock has passed it.
        with suppress(ClockError):
            self._clock.move_to(at)
