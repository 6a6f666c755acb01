"""Many exchanges over pooled connections: each caller gets the answer to its own request."""

import asyncio
from collections.abc import Callable

from forwarding import Caller, Forwarding, forwarding, part
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples
from raw_http import raw_server

from mainstem.common.errors import BadGatewayError

Answers = Callable[[bytes, bytes], list[bytes]]


def _sized(head: bytes, name: bytes) -> list[bytes]:
    return [b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (head, len(name), name)]


def _chunked(name: bytes, behind: bytes = b"") -> list[bytes]:
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(name), name)
    return [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunk + behind]


POISON = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"
KINDS: dict[str, Callable[[bytes], list[bytes]]] = {
    "sized": lambda name: _sized(b"", name),
    "in two packets": lambda name: [_sized(b"", name)[0][:-1], name[-1:]],
    "chunked": _chunked,
    "after hints": lambda name: [b"HTTP/1.1 103 Early\r\n\r\n", *_sized(b"", name)],
    "closing": lambda name: _sized(b"connection: close\r\n", name),
    "poisoned": lambda name: [_sized(b"", name)[0] + POISON],
    "poisoned chunks": lambda name: _chunked(name, POISON),
    "poisoned later": lambda name: [*_sized(b"", name), POISON],
    "begun too early": lambda name: [_sized(b"", name)[0] + b"HTTP/1.1 200"],
    "broken": lambda _name: [b"nonsense\r\n\r\n" + POISON],
    "half": lambda name: [_sized(b"", name)[0][:-1], b""],
}


async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request as the kind says that its path names, in packets of their own; b"" ends it."""
    while line := await reader.readline():
        if not line.startswith((b"GET", b"HEAD", b"POST")):
            continue
        _, kind, name = line.split(b" ")[1].decode().replace("%20", " ").split("/")
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        await reader.readexactly(length)
        for packet in KINDS[kind](name.encode()):
            if not packet:
                return
            writer.write(packet)
            await writer.drain()
            await asyncio.sleep(0)


async def call(gateway: Forwarding, number: int, kind: str, method: str) -> None:
    name = b"answer-%d" % number
    target = b"/%b/%b" % (kind.replace(" ", "%20").encode(), name)
    try:
        got = await gateway.call(
            Caller([part(b"x" if method == "POST" else b"")]), method=method, target=target
        )
    except BadGatewayError:
        # What stands before an answer on a connection that others spoiled is refused, never passed on.
        return
    if got.is_whole:
        assert got.body == (b"" if method == "HEAD" else name)
    else:
        assert name.startswith(got.body)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(["GET", "HEAD", "POST"])), max_size=4
        ),
        max_size=8,
    )
)
async def test_no_exchange_gets_the_answer_of_another(rounds: list[list[tuple[str, str]]]) -> None:
    async with raw_server(behave) as url, forwarding(url) as gateway:
        for number, together in enumerate(rounds):
            await asyncio.gather(
                *(call(gateway, number * 10 + at, kind, method) for at, (kind, method) in enumerate(together))
            )
            # As long as the next request of one caller takes to come: a packet of its own arrives before.
            await asyncio.sleep(0.002)
            gateway.breaker.record(ok=True)
