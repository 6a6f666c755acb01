"""Grouping: calls of several callers at about the same time become one round trip.

There is no timer: calls that come while a group is worked on form the next group, so a single call does not
wait.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

GROUP = 100


class Grouped(Generic[ItemT, ResultT]):
    """Callable for one item at a time, over a function that acts on several.

    Args:
        act: answers for a group, in the group's order. What it does runs in the context in which this was
            made, not in that of whoever comes first.
        most: how many make a group at most.
        is_own: whether an error may be the fault of one of the group: then its halves are tried, and theirs,
            until only the one at fault fails.
    """

    def __init__(
        self,
        act: Callable[[Sequence[ItemT]], Awaitable[Sequence[ResultT]]],
        *,
        most: int = GROUP,
        is_own: Callable[[Exception], bool] = lambda _: False,
    ) -> None:
        self._act = act
        self._most = most
        self._is_own = is_own
        self._context = contextvars.copy_context()
        self._waiting: deque[tuple[ItemT, asyncio.Future[ResultT]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, item: ItemT) -> ResultT:
        """Return the result for one item. A caller that is cancelled leaves the others' group alone.

        Raises:
            Exception: what `act` raised, for the group or, if this item is at fault, for the item alone.
        """
        answer: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run(), context=self._context.copy())
        return await answer

    async def finish(self) -> None:
        """Wait until what was asked for is done."""
        if self._running is not None:
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        try:
            while self._waiting:
                size = min(self._most, len(self._waiting))
                await self._answer([self._waiting.popleft() for _ in range(size)])
        finally:
            self._running = None

    async def _answer(self, group: Sequence[tuple[ItemT, asyncio.Future[ResultT]]]) -> None:
        try:
            answers = await self._act([item for item, _ in group])
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is the callers', who wait for it
            if len(group) > 1 and self._is_own(error):
                half = len(group) // 2
                await self._answer(group[:half])
                await self._answer(group[half:])
            else:
                _settle(group, error)
        except asyncio.CancelledError:
            for _, waiting in group:
                waiting.cancel()
            raise
        else:
            for (_, waiting), answer in zip(group, answers, strict=True):
                if not waiting.done():
                    waiting.set_result(answer)


def _settle(group: Sequence[tuple[object, asyncio.Future[ResultT]]], error: Exception) -> None:
    for _, waiting in group:
        if not waiting.done():
            waiting.set_exception(error)
