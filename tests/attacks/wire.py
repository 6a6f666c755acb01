"""Raw HTTP exchanges: bytes go out as given, answers are parsed strictly."""

import asyncio
import re
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) [^\r\n]*")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*?)[ \t]*")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[^\r\n]*)?\r\n")
READ_BYTES = 64 * 1024
ANSWER_SECONDS = 1.0
"""The wait for an answer that need not come before the rest of a request is sent."""
NO_BODY = (204, 304)


class Step(Enum):
    """Things to wait for between two parts."""

    ANSWERED = "answered"
    """The first whole answer, the end of the connection, or `ANSWER_SECONDS`."""


Part = bytes | float | Step
"""Bytes are one packet; a float is a pause in seconds."""


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a header, in lower case."""
        return [value.lower() for key, value in self.headers if key.lower() == name]

    @property
    def says_close(self) -> bool:
        """Whether the server announces the end of the connection."""
        return b"close" in self.values(b"connection")


@dataclass
class Outcome:
    """All that came back over one connection."""

    answers: list[Answer] = field(default_factory=list)
    interim: list[int] = field(default_factory=list)
    """Statuses below 200."""
    rest: bytes = b""
    """Bytes after the last whole answer."""
    is_closed: bool = False
    """Whether the server closed the connection in time."""

    @property
    def statuses(self) -> list[int]:
        """The statuses of the answers, in order."""
        return [one.status for one in self.answers]


class Wire:
    """One connection, of which everything received is kept."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, heads: Container[int]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._heads = heads
        self._received = bytearray()
        self._news = asyncio.Event()
        self.is_closed = False
        self._collecting = asyncio.create_task(self._collect())

    @property
    def local_port(self) -> int:
        """The port by which the server knows this connection."""
        return int(self._writer.get_extra_info("sockname")[1])

    async def send(self, parts: Sequence[Part], *, patience: float) -> None:
        """Write the parts; a server that closes the connection ends it early."""
        for part in parts:
            if isinstance(part, float):
                await asyncio.sleep(part)
            elif isinstance(part, Step):
                await self.until_answers(1, patience=min(patience, ANSWER_SECONDS))
            elif not await self._write(part, patience):
                return

    async def until_answers(self, count: int, *, patience: float) -> bool:
        """Wait for so many whole answers; return False if the connection or the patience ends first."""
        return await self._until(lambda: len(self.outcome().answers) >= count, patience)

    async def until_closed(self, *, patience: float) -> bool:
        """Wait for the server to close the connection; return whether it did."""
        await self._until(lambda: False, patience)
        return self.is_closed

    def outcome(self, heads: Container[int] | None = None) -> Outcome:
        """Return what has come so far; `heads` are the numbers of the answers to HEAD, which have no body."""
        heads = self._heads if heads is None else heads
        return parse(bytes(self._received), is_closed=self.is_closed, heads=heads)

    @property
    def received(self) -> int:
        """How many bytes have come so far."""
        return len(self._received)

    async def close(self) -> None:
        """Close the connection. Safe to repeat."""
        self._collecting.cancel()
        await asyncio.gather(self._collecting, return_exceptions=True)
        self._writer.transport.abort()

    async def _write(self, part: bytes, patience: float) -> bool:
        try:
            async with asyncio.timeout(patience):
                self._writer.write(part)
                await self._writer.drain()
        except (ConnectionError, TimeoutError):
            return False
        finally:
            await asyncio.sleep(0)  # else a loop that only writes, or fails to, never sees the end
        return not self.is_closed

    async def _until(self, is_so: Callable[[], bool], patience: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while not is_so() and not self.is_closed:
                    self._news.clear()
                    await self._news.wait()
        return is_so()

    async def _collect(self) -> None:
        try:
            while data := await self._reader.read(READ_BYTES):
                self._received += data
                self._news.set()
        except ConnectionError:
            pass
        self.is_closed = True
        self._news.set()


async def connect(address: tuple[str, int], *, heads: Container[int] = (), source: str | None = None) -> Wire:
    """Open a connection; `heads` are the numbers of the answers to HEAD, which have no body."""
    local = None if source is None else (source, 0)
    return Wire(*await asyncio.open_connection(*address, local_addr=local), heads=heads)


async def fetch(address: tuple[str, int], request: bytes, *, patience: float = 10.0) -> Outcome:
    """Send one request that ends its connection, and return what came back."""
    wire = await connect(address)
    try:
        await wire.send([request], patience=patience)
        await wire.until_closed(patience=patience)
        return wire.outcome()
    finally:
        await wire.close()


def parse(received: bytes, *, is_closed: bool, heads: Container[int] = ()) -> Outcome:
    """Return the whole answers in what was received; anything malformed stays as `rest`."""
    outcome = Outcome(is_closed=is_closed)
    while received:
        found = _answer(received, is_closed=is_closed, has_body=len(outcome.answers) not in heads)
        if found is None:
            break
        answer, received = found
        if answer.status < 200:
            outcome.interim.append(answer.status)
        else:
            outcome.answers.append(answer)
    outcome.rest = received
    return outcome


def _answer(received: bytes, *, is_closed: bool, has_body: bool) -> tuple[Answer, bytes] | None:
    head, end, rest = received.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    start, fields = STATUS_LINE.fullmatch(first), [FIELD.fullmatch(line) for line in lines]
    if not end or start is None:
        return None
    headers = tuple((one[1], one[2]) for one in fields if one is not None)
    status = int(start[1])
    if len(headers) < len(lines):
        return None
    if status < 200 or status in NO_BODY or not has_body:
        return Answer(status, headers, b""), rest
    body = _body({name.lower(): value for name, value in headers}, rest, is_closed=is_closed)
    return None if body is None else (Answer(status, headers, body[0]), body[1])


def _body(headers: dict[bytes, bytes], rest: bytes, *, is_closed: bool) -> tuple[bytes, bytes] | None:
    """Return a body and what follows it; None if it is not whole yet."""
    if b"transfer-encoding" in headers:
        return _chunks(rest)
    if b"content-length" in headers:
        size = int(headers[b"content-length"])
        return (rest[:size], rest[size:]) if len(rest) >= size else None
    return (rest, b"") if is_closed else None


def _chunks(rest: bytes) -> tuple[bytes, bytes] | None:
    body = b""
    while (found := CHUNK.match(rest)) is not None:
        size, rest = int(found[1], 16), rest[found.end() :]
        if len(rest) < size + 2 or rest[size : size + 2] != b"\r\n":
            return None
        body, rest = body + rest[:size], rest[size + 2 :]
        if size == 0:
            return body, rest
    return None
