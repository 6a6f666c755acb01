"""Time limits of one exchange: of its caller, and of its upstream."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from starlette.types import Message, Send

from mainstem.gateway.proxy.body import ClientGoneError, IncomingBody, IncompleteBodyError

GRACE_SECONDS = 0.05
"""Requests that are served sooner are not watched: two tasks for each cost 17 µs, a timer 2 µs."""

LOOK_SECONDS = 1.0
SOONEST_LOOK_SECONDS = 0.01
SEND_SECONDS = 30.0
"""Seconds that a caller may read nothing while there is something to read."""


class Watch:
    """Ends an exchange whose caller leaves, sends its body too slowly or does not read its answer.

    Leaving the context raises `ClientGoneError` or `IncompleteBodyError` then.
    """

    def __init__(
        self, body: IncomingBody, send: Send, *, body_seconds: float, send_seconds: float = SEND_SECONDS
    ) -> None:
        self._body = body
        self._send = send
        self._body_seconds = body_seconds
        self._send_seconds = send_seconds
        self._sends_since: float | None = None
        self._reason: Exception | None = None
        self._scope = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin."""
        await self._scope.__aenter__()
        self._timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, with the reason if the watch ended it."""
        self.stop()
        if self._timer is not None:
            self._timer.cancel()
        try:
            await self._scope.__aexit__(kind, error, trace)
        except TimeoutError:
            assert self._reason is not None  # noqa: S101 -- nothing else ends the scope
            raise self._reason from None

    async def send(self, message: Message) -> None:
        """Send a part of the answer to the caller."""
        self._sends_since = asyncio.get_running_loop().time()
        await self._send(message)
        self._sends_since = None

    def stop(self) -> None:
        """Stop waiting for the caller to leave: the server reports the same at the end of an answer."""
        if self._waiting is not None:
            self._waiting.cancel()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        sends = 0.0 if self._sends_since is None else loop.time() - self._sends_since
        if sends >= self._send_seconds:
            self._end(ClientGoneError())
        elif not self._body.has_ended and self._body.waited_seconds >= self._body_seconds:
            self._end(IncompleteBodyError())
        else:
            if self._waiting is None:
                self._waiting = loop.create_task(self._wait())
            body = LOOK_SECONDS if self._body.has_ended else self._body_seconds - self._body.waited_seconds
            due = min(LOOK_SECONDS, self._send_seconds - sends, max(SOONEST_LOOK_SECONDS, body))
            self._timer = loop.call_later(due, self._look)

    async def _wait(self) -> None:
        await self._body.until_gone()
        self._end(ClientGoneError())

    def _end(self, reason: Exception) -> None:
        if self._reason is None:
            self._reason = reason
            self._scope.reschedule(0.0)


class Clock:
    """Seconds that an upstream has; they do not run while the caller is waited for.

    Args:
        seconds: how many.
        expire: called when they are over.
    """

    def __init__(self, seconds: float, expire: Callable[[], None]) -> None:
        self._left = seconds
        self._expire = expire
        self._pauses = 1
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def resume(self) -> None:
        """Let the seconds run, as soon as each pause has ended; a new clock begins with one."""
        self._pauses -= 1
        if not self._pauses:
            loop = asyncio.get_running_loop()
            self._since = loop.time()
            self._timer = loop.call_later(max(self._left, 0.0), self._expire)

    def pause(self) -> None:
        """Stop the seconds."""
        self._pauses += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._left -= asyncio.get_running_loop().time() - self._since
