"""Recording upstream: notes each request of each connection by h11, an independent parser, made stricter."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import h11
from tests.attacks.spied import MARK

LINE = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[^\x00-\x08\x0a-\x1f\x7f]*"
HEAD = re.compile(rb"[A-Z]+ [\x21-\x7e\x80-\xff]+ HTTP/1\.1(?:\r\n" + LINE + rb")*")
LATIN = b"caf\xe9"
"""A header's value by which `/open/latin` is answered."""

FORBIDDEN = frozenset(
    {b"connection", b"upgrade", b"te", b"trailer", b"keep-alive", b"expect", b"proxy-connection"}
)
"""Headers of one connection, which must not be passed on; `connection: close` or `keep-alive` may be said."""


@dataclass
class Arrival:
    """One request as it came over a connection."""

    connection: int
    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    is_cut: bool = False
    """Whether the connection ended within the body."""

    def values(self, name: bytes) -> list[bytes]:
        """Return a header's values."""
        return [value for key, value in self.headers if key == name]

    @property
    def number(self) -> int:
        """The spy's id of the request; 0 without exactly one."""
        marks = self.values(MARK)
        return int(marks[0]) if len(marks) == 1 and marks[0].isdigit() else 0

    @property
    def size(self) -> int:
        """How many bytes of its body have come."""
        return len(self.body)

    @property
    def is_early(self) -> bool:
        """Whether it is answered before its body came."""
        return self.target.startswith(b"/early")


@dataclass
class Recorder:
    """All arrivals in order, and every violation of HTTP on the way to here."""

    arrivals: list[Arrival] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    def forget(self) -> None:
        """Drop what was noted."""
        self.arrivals, self.violations = [], []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        line = _Line(self, self.connections, writer)
        with suppress(ConnectionError):
            while line.is_open:
                data = await reader.read(64 * 1024)
                line.receive(data)
                if not data:
                    break
                await writer.drain()
        writer.close()


class _Line:
    """One connection."""

    def __init__(self, recorder: Recorder, number: int, writer: asyncio.StreamWriter) -> None:
        self._recorder = recorder
        self._number = number
        self._writer = writer
        self._http = h11.Connection(h11.SERVER)
        self._head = bytearray()
        self._arrival: Arrival | None = None
        self.is_open = True

    def receive(self, data: bytes) -> None:
        """Take bytes; none says that the connection has ended."""
        if self._arrival is None:
            self._head += data
        try:
            self._http.receive_data(data)
            while self.is_open and self._handle(self._http.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            self.is_open = False
            if self._arrival is not None and not data:
                self._arrival.is_cut = True
            elif data or self._head:
                self._violate(f"{error}: {bytes(self._head[:60])!r}")

    def _handle(self, event: object) -> bool:
        """Take note of an event; return whether another one may follow."""
        if isinstance(event, h11.Request):
            self._begin(event)
        elif isinstance(event, h11.Data) and self._arrival is not None:
            self._arrival.body += event.data
        elif isinstance(event, h11.EndOfMessage) and self._arrival is not None:
            self._end(event)
        else:
            self.is_open = not isinstance(event, h11.ConnectionClosed)
            return False
        return True

    def _begin(self, event: h11.Request) -> None:
        head, end, _ = bytes(self._head).partition(b"\r\n\r\n")
        headers = tuple((bytes(name), bytes(value)) for name, value in event.headers)
        self._arrival = Arrival(self._number, event.method.decode(), bytes(event.target), headers)
        self._recorder.arrivals.append(self._arrival)
        if not end or HEAD.fullmatch(head) is None:
            self._violate(f"malformed head {head[:80]!r}")
        self._check(self._arrival)
        if self._arrival.is_early:
            self._answer()

    def _check(self, arrival: Arrival) -> None:
        framing = [name for name, _ in arrival.headers if name in {b"content-length", b"transfer-encoding"}]
        if len(framing) > 1 or len(arrival.values(b"host")) != 1:
            self._violate(f"framed by {framing}, hosts {arrival.values(b'host')}")
        passed = {
            name
            for name, value in arrival.headers
            if name in FORBIDDEN and value not in {b"close", b"keep-alive"}
        }
        if passed:
            self._violate(f"headers of one connection: {sorted(passed)}")

    def _end(self, event: h11.EndOfMessage) -> None:
        assert self._arrival is not None
        self._arrival.is_whole = True
        if list(event.headers):
            self._violate("trailers")
        if not self._arrival.is_early:
            self._answer()
        self._arrival = None
        self._head = bytearray(self._http.trailing_data[0])
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.is_open = False

    def _answer(self) -> None:
        arrival = self._arrival
        body = b"" if arrival is not None and arrival.method == "HEAD" else b"ok"
        headers = [(b"content-length", b"2")]
        if arrival is not None and arrival.target == b"/open/latin":
            headers.append((b"x-name", LATIN))
        head = h11.Response(status_code=200, headers=headers)
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self._writer.write(self._http.send(event) or b"")

    def _violate(self, what: str) -> None:
        self._recorder.violations.append(f"connection {self._number}: {what}")


@asynccontextmanager
async def recording() -> AsyncIterator[Recorder]:
    """Run an upstream that records."""
    recorder = Recorder()
    server = await asyncio.start_server(recorder.serve, "127.0.0.1", 0)
    recorder.port = server.sockets[0].getsockname()[1]
    try:
        yield recorder
    finally:
        server.close()
