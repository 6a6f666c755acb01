"""A load generator in a process of its own: kept-alive connections that send prepared requests, closed loop.

It reads what to do as JSON from standard input and writes what came of it to standard output.
"""

import asyncio
import json
import re
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import uvloop
from bodies import START, Change, event, signature

WARM_UP_SECONDS = 0.5
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
HEAD_END = b"\r\n\r\n"


@dataclass
class Run:
    """Requests that are still to be sent, and what was answered while it counted."""

    requests: list[bytes]
    expected: bytes
    counts_from: float = 0.0
    ends_at: float = 0.0
    answered: int = 0
    refused: int = 0
    total: int = 0
    seconds: list[float] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, sent_at: float, head: bytes) -> None:
        """Note an answer."""
        now = time.perf_counter()
        self.total += 1
        if not head.startswith(self.expected):
            self.refused += 1
        if self.counts_from <= now < self.ends_at:
            self.answered += 1
            self.seconds.append(now - sent_at)

    def next(self) -> bytes | None:
        """Return the next request, None at the end."""
        if self.requests and time.perf_counter() < self.ends_at:
            return self.requests.pop()
        self.ended.set()
        return None


class Connection(asyncio.Protocol):
    """One connection, with one request under way at a time."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._received = b""
        self._sent_at = 0.0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Send the next request once the answer is whole."""
        self._received += data
        head, end, body = self._received.partition(HEAD_END)
        length = LENGTH.search(head)
        if end and len(body) >= (int(length[1]) if length else 0):
            self._run.note(self._sent_at, head)
            self._received = b""
            self._send()

    def _send(self) -> None:
        request = self._run.next()
        if request is None:
            self._transport.close()
        else:
            self._sent_at = time.perf_counter()
            self._transport.write(request)


def prepare(told: dict[str, Any]) -> list[bytes]:
    """Return as many requests as can be needed: one as given, or signed, each with an event of its own."""
    if "request" in told:
        return [told["request"].encode()] * told["requests"]
    template = event(Change("evt_@@@@@@@@@@@@", 1, START))
    head, _, tail = template.partition(b"@@@@@@@@@@@@")
    bodies = (
        b"%s%s%08d%s" % (head, told["prefix"].encode(), number, tail) for number in range(told["requests"])
    )
    return [_request(told, body) for body in bodies]


def _request(told: dict[str, Any], body: bytes) -> bytes:
    lines = [
        f"POST {told['path']} HTTP/1.1",
        f"Host: {told['host']}:{told['port']}",
        "Content-Type: application/json; charset=utf-8",
        "User-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        f"Stripe-Signature: {signature(body)}",
        f"Content-Length: {len(body)}",
        *told.get("headers", ()),
    ]
    return "\r\n".join(lines).encode() + HEAD_END + body


async def drive(told: dict[str, Any]) -> dict[str, float]:
    """Send for the seconds that are told, and return what was answered."""
    run = Run(prepare(told), f"HTTP/1.1 {told['status']}".encode())
    run.counts_from = time.perf_counter() + WARM_UP_SECONDS
    run.ends_at = run.counts_from + told["seconds"]
    loop = asyncio.get_running_loop()
    for _ in range(told["connections"]):
        await loop.create_connection(lambda: Connection(run), told["host"], told["port"])
    await run.ended.wait()
    seconds = min(time.perf_counter(), run.ends_at) - run.counts_from
    marks = statistics.quantiles(run.seconds or [0.0, 0.0], n=100)
    return {
        "rate": run.answered / seconds,
        "total": run.total,
        "refused": run.refused,
        "p50_ms": marks[49] * 1_000,
        "p99_ms": marks[98] * 1_000,
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(drive(json.loads(sys.stdin.read())))))
