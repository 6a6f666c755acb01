"""HTTP/1.1 client of the proxy: pooled connections to one upstream, each with one exchange at a time."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from urllib.parse import urlsplit

from mainstem.common.errors import UnavailableError
from mainstem.gateway.proxy.answer import ConnectionEndedError, IncomingAnswer, UpstreamError

CONNECTIONS = 100
CONNECT_SECONDS = 2.0
IDLE_SECONDS = 3.0
"""Less than the five seconds after which uvicorn closes an idle connection under the next request."""

BUFFER_BYTES = 256 * 1024
"""Bytes of an answer that wait for the caller before nothing more is read."""


class ConnectError(UpstreamError):
    """No connection to the upstream was made."""


class UpstreamTimeoutError(UpstreamError):
    """The upstream took too long to answer."""


class ConnectTimeoutError(UpstreamTimeoutError):
    """The upstream took too long to accept a connection."""


class PoolFullError(UnavailableError):
    """All connections to the upstream stayed in use for the whole time that the request could wait."""


class UpstreamConnection(asyncio.Protocol):
    """One connection to an upstream: idle in the pool, or with one exchange."""

    def __init__(self, pool: "UpstreamPool") -> None:
        self.answer: IncomingAnswer | None = None
        self.is_pooled = False
        """Whether it has served an exchange before this one."""
        self.idle_since = 0.0
        self.has_ended = False
        self._pool = pool
        self._transport: asyncio.Transport
        self._is_sent = False
        self._is_reading_paused = False
        self._writable: asyncio.Future[None] | None = None

    def begin(self, method: str, data: bytes, *, is_whole: bool) -> IncomingAnswer:
        """Send a request, or its beginning, and return the answer that will come."""
        self.answer = IncomingAnswer(method)
        if self.has_ended:
            self.answer.fail(ConnectionEndedError())
        self.write(data, is_last=is_whole)
        return self.answer

    def write(self, data: bytes, *, is_last: bool) -> None:
        """Send a further part of the request."""
        self._is_sent = is_last
        if not self.has_ended:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the upstream has taken most of what was written, or is gone."""
        if self._writable is not None:
            await self._writable

    async def read(self, answer: IncomingAnswer) -> bytes:
        """Return the next part of the answer's body; no bytes at its end."""
        part = await answer.read()
        if self.answer is answer and self._is_reading_paused and not self.has_ended:
            self._is_reading_paused = False
            self._transport.resume_reading()
        return part

    def finish(self, answer: IncomingAnswer) -> None:
        """End an exchange, unless it has ended: keep a connection with nothing left on it, else close it."""
        if self.answer is not answer:
            return
        self.answer = None
        is_kept = (
            answer.is_whole
            and answer.is_clean
            and self._is_sent
            and not self.has_ended
            # Paused, the transport may hold bytes that the next exchange would take for its answer.
            and not self._is_reading_paused
            and not self._transport.get_write_buffer_size()
        )
        self.is_pooled = True
        if not is_kept:
            self.abort()
        self._pool.give_back(self, is_kept=is_kept)

    def abort(self) -> None:
        """Close the connection at once."""
        self.has_ended = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        # uvloop's transports have the methods of asyncio's without being a subclass.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take a packet; on an idle connection nothing may come."""
        if self.answer is None:
            self._leave()
            return
        answer = self.answer
        answer.feed(data)
        if answer.is_whole:
            # At once, however slowly the caller reads; an early answer ends the request.
            self.finish(answer)
        elif answer.buffered > BUFFER_BYTES and not self._is_reading_paused:
            self._is_reading_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """Note that the upstream sends nothing more; the transport closes itself."""
        self.has_ended = True
        if self.answer is None:
            self._leave()
        else:
            self.answer.end()

    def connection_lost(self, _error: Exception | None) -> None:
        """Note that the connection is gone."""
        self.has_ended = True
        self.resume_writing()
        if self.answer is None:
            self._pool.discard(self)
        else:
            self.answer.fail(ConnectionEndedError())

    def pause_writing(self) -> None:
        """Note that the upstream does not take what is written."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Note that it takes more."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def _leave(self) -> None:
        self._pool.discard(self)
        self.abort()


class UpstreamPool:
    """Connections to one upstream. The latest that came back is used first; three idle seconds close one."""

    def __init__(self, base_url: str, *, connections: int = CONNECTIONS) -> None:
        parts = urlsplit(base_url)
        self.host = parts.netloc.rpartition("@")[2].encode("idna")
        self._address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._streams = 0
        self._most_streams = connections // 2
        self._free = asyncio.Semaphore(connections)
        self._idle: list[UpstreamConnection] = []
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def is_full(self) -> bool:
        """Whether a request has to wait for a connection."""
        return self._free.locked()

    @property
    def is_crowded(self) -> bool:
        """Whether streams take half of the connections, which is their share."""
        return self._streams >= self._most_streams

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count a request whose body arrives in parts: for a slow caller it holds a connection for long.

        Raises:
            PoolFullError: the share of such requests is used up.
        """
        if self.is_crowded:
            raise PoolFullError("too many large requests are on their way; try again later")
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    async def take(self, seconds: float, *, is_fresh: bool = False) -> UpstreamConnection:
        """Return an idle connection, or a new one; `Connection.finish` gives it back.

        Args:
            seconds: limit for waiting and connecting together.
            is_fresh: close the idle connections and make a new one: the latest of them was stale.

        Raises:
            PoolFullError: none became free in time.
            ConnectError, ConnectTimeoutError: the upstream accepts none.
        """
        due = asyncio.get_running_loop().time() + seconds
        await self._acquire(seconds)
        try:
            if is_fresh:
                self.close()
            return self._find_idle() or await self._connect(due)
        except BaseException:
            self._free.release()
            raise

    def give_back(self, connection: UpstreamConnection, *, is_kept: bool) -> None:
        """Take a connection back, or only the right to it."""
        self._free.release()
        if not is_kept:
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(IDLE_SECONDS, self._sweep)

    def discard(self, connection: UpstreamConnection) -> None:
        """Forget an idle connection."""
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Close every idle connection."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        while self._idle:
            self._idle.pop().abort()

    async def _acquire(self, seconds: float) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(seconds):
                await self._free.acquire()
        except TimeoutError:
            raise PoolFullError("too many requests wait for the service; try again later") from None

    def _find_idle(self) -> UpstreamConnection | None:
        while self._idle:
            if not (connection := self._idle.pop()).has_ended:
                return connection
        return None

    async def _connect(self, due: float) -> UpstreamConnection:
        host, port = self._address
        name = host if self._tls is not None else None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(due, loop.time() + CONNECT_SECONDS)):
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(self), host, port, ssl=self._tls, server_hostname=name
                )
        except TimeoutError:
            raise ConnectTimeoutError from None
        except (OSError, UnicodeError):
            raise ConnectError from None
        return connection

    def _sweep(self) -> None:
        """Close what has been idle for too long, and look again when the next one will have been."""
        loop = asyncio.get_running_loop()
        self._sweeping = None
        while self._idle and loop.time() - self._idle[0].idle_since >= IDLE_SECONDS:
            self._idle.pop(0).abort()
        if self._idle:
            due = self._idle[0].idle_since + IDLE_SECONDS
            self._sweeping = loop.call_at(due, self._sweep)
