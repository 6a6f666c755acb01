"""Recording of one run of a case: every call to the stacks with its result, replayed for mutants of the case.

The runner's verdict depends on the case and on the results of its calls alone.
A mutant that makes the same calls in the same order gets the verdict that a run on a stack would give.
"""

import inspect
from collections.abc import Awaitable, Callable
from copy import copy
from functools import partial
from typing import Any, cast

import asyncpg
from tests.conformance.deliveries import Deliveries
from tests.conformance.run import Stacks
from tests.conformance.stage import Stage
from tests.conformance.zed.shop import Shop

Act = Callable[[], Awaitable[Any]]
PARTS = (Stacks, Stage, Shop, Deliveries, asyncpg.Pool)
"""Classes whose calls and attributes are recorded."""


class Diverged(BaseException):
    """A mutant makes another call than the next one of the recording.

    No `Exception`: the runner makes a failed verdict of those.
    """


class Recording:
    """Calls and attributes with their results, in order."""

    def __init__(self) -> None:
        self._results: list[tuple[str, Any]] = []
        self._next: int | None = None

    def recorded(self, stacks: Stacks) -> Stacks:
        """Return stacks whose calls are recorded."""
        return cast("Stacks", _Part(stacks, self))

    def replayed(self, stacks: Stacks) -> Stacks:
        """Return stand-ins for the stacks that replay the recording from its beginning."""
        self.rewind()
        return cast("Stacks", _Part(stacks, self))

    def rewind(self) -> None:
        """Replay from the beginning from now on."""
        self._next = 0

    async def call(self, key: str, act: Act) -> Any:
        """Return the result of a call."""
        if self._next is None:
            self._results.append((key, await act()))
            return self._results[-1][1]
        return self._replay(key)

    def attribute(self, key: str, value: Any) -> Any:
        """Return the value of an attribute."""
        if self._next is None:
            self._results.append((key, copy(value)))
            return value
        return self._replay(key)

    def _replay(self, key: str) -> Any:
        position = self._next or 0
        if position == len(self._results) or self._results[position][0] != key:
            raise Diverged(key)
        self._next = position + 1
        return self._results[position][1]


class _Part:
    """Proxy of one part of the stacks."""

    def __init__(self, part: Any, recording: Recording) -> None:
        self._part = part
        self._recording = recording

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if isinstance(found, PARTS):
            return _Part(found, self._recording)
        key = f"{type(self._part).__name__}.{name}"
        if not inspect.iscoroutinefunction(found):
            return self._recording.attribute(key, found)
        return partial(self._call, key, found)

    async def _call(self, key: str, act: Callable[..., Awaitable[Any]], *args: Any, **more: Any) -> Any:
        found = await self._recording.call(f"{key} {args} {more}", partial(act, *args, **more))
        return _Part(found, self._recording) if isinstance(found, PARTS) else found
