"""Body of a caller as it arrives: read once, in parts, within its limits."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.types import Receive

from mainstem.common.errors import BadRequestError, ContentTooLargeError, MainstemError
from mainstem.common.http.requests.budget import Holding

GATHERED_BYTES = 1024 * 1024
CLOSE = {"Connection": "close"}
"""Header of an answer to a request whose end is unknown: nothing behind it can be parsed."""


class ClientGoneError(Exception):
    """The caller has left, or reads nothing."""


class IncompleteBodyError(MainstemError):
    """The caller takes too long to send its body."""

    status = HTTPStatus.REQUEST_TIMEOUT

    def __init__(self) -> None:
        super().__init__("the body did not arrive in time", headers=CLOSE)


class IncomingBody:
    """A request's body, from an ASGI server.

    Args:
        receive: the server's.
        declared: bytes by the request's Content-Length, None without one.
        holding: counts what is gathered; whoever opened it releases it.
        limit_bytes: most bytes that the route takes.
    """

    def __init__(self, receive: Receive, declared: int | None, holding: Holding, *, limit_bytes: int) -> None:
        self.declared = declared
        self._holding = holding
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._received_bytes = 0
        self._first = b""
        self._ended = asyncio.Event()
        self._waited_seconds = 0.0
        self._waits_since: float | None = None

    @property
    def has_ended(self) -> bool:
        """Whether all of it has been read."""
        return self._ended.is_set()

    @property
    def whole(self) -> bytes | None:
        """All of it, where it came at once; else None, and `parts` has it."""
        return self._first if self.has_ended else None

    @property
    def waited_seconds(self) -> float:
        """Seconds that were spent waiting for the caller to send."""
        since = self._waits_since
        return self._waited_seconds + (0.0 if since is None else _now() - since)

    async def begin(self) -> None:
        """Wait for the first part.

        Raises:
            BadRequestError: it ends before its declared length, or goes on behind it.
            ContentTooLargeError: it is too long already, or declared to be.
            ClientGoneError: the caller left.
        """
        self._demand_within_limit(self.declared or 0)
        self._first = await self._next()

    async def gather(self) -> None:
        """Read all of it, or its first mebibyte, into the first part; raises as `begin` does.

        Raises:
            UnavailableError: the process, or the caller's address, holds too much of bodies.
        """
        self._holding.add(len(self._first))
        gathered = bytearray(self._first)
        while not self.has_ended and self._received_bytes < GATHERED_BYTES:
            part = await self._next()
            self._holding.add(len(part))
            gathered += part
        self._first = bytes(gathered)

    async def parts(self) -> AsyncIterator[bytes]:
        """Give the parts as they come; raises as `begin` does."""
        yield self._first
        while not self.has_ended:
            yield await self._next()

    async def until_gone(self) -> None:
        """Wait until the caller has left; before the end of the body its reader notices."""
        await self._ended.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _next(self) -> bytes:
        self._waits_since = _now()
        message = await self._receive()
        self._waited_seconds, self._waits_since = self.waited_seconds, None
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part: bytes = message.get("body", b"")
        self._received_bytes += len(part)
        self._demand_within_limit(self._received_bytes)
        if not message.get("more_body", False):
            self._demand_declared(is_end=True)
            self._ended.set()
        else:
            self._demand_declared(is_end=False)
        return part

    def _demand_within_limit(self, size: int) -> None:
        if size > self._limit_bytes:
            raise ContentTooLargeError(f"the body may have {self._limit_bytes} bytes at most")

    def _demand_declared(self, *, is_end: bool) -> None:
        """Refuse a body of another length: it would end in the middle of the next request, or hold it."""
        if self.declared is None:
            return
        if self._received_bytes > self.declared or (is_end and self._received_bytes < self.declared):
            raise BadRequestError("the body has another length than its Content-Length", headers=CLOSE)


def _now() -> float:
    return asyncio.get_running_loop().time()
