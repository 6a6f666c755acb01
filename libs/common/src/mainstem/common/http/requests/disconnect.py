"""Client disconnects: a handler that only reads is cancelled when its client has disconnected."""

import asyncio
from types import TracebackType
from typing import Self

from starlette.requests import ClientDisconnect
from starlette.types import Receive

LOOK_SECONDS = 0.05
"""A request that ends sooner is not watched, and pays nothing but a timer."""


class DisconnectWatch:
    """Cancels the task that entered it once the client has disconnected.

    Raises:
        ClientDisconnect: the client has disconnected.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_disconnected = False
        self._watching: asyncio.Task[None] | None = None
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        """Begin to watch a moment later."""
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End the watch; drivers may have turned the cancellation into an error of their own."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
        if self._is_disconnected and self._task is not None:
            self._task.uncancel()
            raise ClientDisconnect from error

    def _look(self) -> None:
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._is_disconnected = True
        if self._task is not None:
            self._task.cancel()
