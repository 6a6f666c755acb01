"""Fair lock: lines of waiters get it in turn, one waiter of each; every line and the whole are bounded."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

LINE = 128
"""Most waiters of one line."""

TOTAL = 512
"""Most waiters of all lines."""


class LineFullError(Exception):
    """No place in the line, or a place lost to a shorter line."""


class Turns:
    """One holder at a time. A long line delays each other line by one turn a round."""

    def __init__(self, *, line: int = LINE, total: int = TOTAL) -> None:
        self._line = line
        self._total = total
        self._is_held = False
        self._lines: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()
        self._waiting = 0

    @asynccontextmanager
    async def turn(self, line: Hashable, *, is_next: bool = False) -> AsyncIterator[None]:
        """Hold the lock; with `is_next` the line goes before the others, and displaces them if all is full.

        Raises:
            LineFullError: too many wait.
        """
        if self._is_held:
            await self._wait(self._join(line, is_next=is_next))
        self._is_held = True
        try:
            yield
        finally:
            self._pass_on()

    def _join(self, line: Hashable, *, is_next: bool) -> asyncio.Future[None]:
        if len(self._lines.get(line, ())) >= self._line:
            raise LineFullError
        if self._waiting >= self._total:
            self._make_room(is_next=is_next)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(line, deque()).append(waiter)
        self._waiting += 1
        if is_next:
            self._lines.move_to_end(line, last=False)
        return waiter

    def _make_room(self, *, is_next: bool) -> None:
        """Turn away the last waiter of the longest line."""
        line, waiters = max(self._lines.items(), key=lambda item: len(item[1]))
        if len(waiters) == 1 and not is_next:
            raise LineFullError
        waiter = waiters.pop()
        self._waiting -= 1
        if not waiters:
            del self._lines[line]
        if not waiter.done():
            waiter.set_exception(LineFullError())

    async def _wait(self, waiter: asyncio.Future[None]) -> None:
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._pass_on()  # the turn came just before the waiter left
            raise

    def _pass_on(self) -> None:
        """Give the lock to the first waiter of the next line, which then goes behind the others."""
        while self._lines:
            line, waiters = self._lines.popitem(last=False)
            waiter = waiters.popleft()
            self._waiting -= 1
            if waiters:
                self._lines[line] = waiters
            if not waiter.done():
                waiter.set_result(None)
                return
        self._is_held = False
