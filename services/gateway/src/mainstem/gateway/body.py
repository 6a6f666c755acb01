"""A caller's body as it arrives: read once, in parts, within a limit."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.types import Receive

from mainstem.common.errors import ContentTooLargeError, MainstemError


class ClientGoneError(Exception):
    """The caller has left; nobody waits for an answer."""


class IncompleteBodyError(MainstemError):
    """The caller takes too long to send its body."""

    status = HTTPStatus.REQUEST_TIMEOUT

    def __init__(self) -> None:
        super().__init__("the body did not arrive in time")


class IncomingBody:
    """What an ASGI server receives of a request, after its headers."""

    def __init__(self, receive: Receive, *, limit_bytes: int) -> None:
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._received_bytes = 0
        self._first = b""
        self._ended = asyncio.Event()
        self.error: Exception | None = None
        """Why the body is not whole, as far as it is the caller's doing."""

    @property
    def has_ended(self) -> bool:
        """Whether all of it has been read."""
        return self._ended.is_set()

    @property
    def whole(self) -> bytes | None:
        """All of it, where it came at once; else None, and `parts` has it."""
        return self._first if self.has_ended else None

    def check_declared(self, content_length: str | None) -> None:
        """Refuse by the header alone what would be too long.

        Raises:
            ContentTooLargeError: it would.
        """
        if content_length is not None and content_length.isdecimal():
            self._demand_within_limit(int(content_length))

    async def begin(self, *, timeout_seconds: float) -> None:
        """Wait for the first part.

        Raises:
            IncompleteBodyError: it does not come.
            ContentTooLargeError: it is too long already.
            ClientGoneError: the caller left.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                self._first = await self._next()
        except TimeoutError:
            raise IncompleteBodyError from None

    async def parts(self) -> AsyncIterator[bytes]:
        """Give the parts as they come; what goes wrong is raised, and kept as `error`."""
        yield self._first
        try:
            while not self.has_ended:
                yield await self._next()
        except (ClientGoneError, ContentTooLargeError) as error:
            self.error = error
            raise

    async def until_gone(self) -> None:
        """Wait until the caller has left; as long as there is a body to read, whoever reads it notices."""
        await self._ended.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part: bytes = message.get("body", b"")
        self._received_bytes += len(part)
        self._demand_within_limit(self._received_bytes)
        if not message.get("more_body", False):
            self._ended.set()
        return part

    def _demand_within_limit(self, size: int) -> None:
        if size > self._limit_bytes:
            raise ContentTooLargeError(f"the body may have {self._limit_bytes} bytes at most")
