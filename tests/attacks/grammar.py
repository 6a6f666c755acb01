"""Grammar of requests: start lines, headers, framing, mutations, packets; hypothesis draws from it."""

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import strategies as st
from tests.attacks.cases.framing import INNER

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
TARGETS = (
    b"/open/x",
    b"/early/x",
    b"/guarded/x",
    b"/open/x?a=b&c=%20",
    b"/open/x?",
    b"/early/y?a=/../b?c",
    b"/open/%41%2e~",
    b"/nowhere",
    b"http://gateway/open/absolute",
    b"http://other.example/open/absolute",
    b"//gateway/open/x",
    b"/open/x#fragment",
    b"*",
)
HEADERS = (
    b"Accept: */*",
    b"Authorization: Bearer <TOKEN>",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Upgrade",
    b"Connection: keep-alive, Upgrade",
    b"Connection: content-length, host, x-name",
    b"Connection: transfer-encoding",
    b"Content-Type: text/plain",
    b"Cookie: a=b",
    b"Expect: 100-continue",
    b"Expect: nonsense",
    b"Host: gateway",
    b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
    b"Keep-Alive: timeout=100",
    b"Proxy-Connection: keep-alive",
    b"TE: trailers",
    b"Trailer: content-length",
    b"Upgrade: h2c",
    b"Upgrade: websocket",
    b"Upgrade: TLS/1.0, x",
    b"X-Attack-Id: 1",
    b"X-Forwarded-For: 192.0.2.1",
    b"X-Name: caf\xe9",
    b"X-Name: caf\xc3\xa9 \xff",
    b"X-Name:",
    b"X-Request-Id: given",
)
UPGRADES = (
    (),
    (),
    (b"Connection: Upgrade", b"Upgrade: websocket"),
    (b"Connection: keep-alive, Upgrade", b"Upgrade: h2c"),
    (b"Connection: upgrade", b"Upgrade: TLS/1.0, x"),
)
INNERMOST = INNER.replace(b"/__version__", b"/inner/x")
BODIES = (
    b"",
    b"x",
    b"hello",
    INNERMOST,
    INNERMOST + INNERMOST,
    b"0\r\n\r\n" + INNERMOST,
    b"\r\n" + INNERMOST,
    b"y" * 5_000,
)
CODINGS = (
    b"chunked",
    b"Chunked",
    b"\tchunked",
    b"chunked, chunked",
    b"identity",
    b"gzip, chunked",
    b"chunked, identity",
    b"xchunked",
    b"",
)
TRAILERS = (
    b"",
    b"",
    b"X: y\r\n",
    b"Content-Length: 4\r\n",
    b"Authorization: Bearer x\r\n",
    b"X-Attack-Id: 1\r\n",
)
MUTATIONS = (
    b"\x00",
    b"\r",
    b"\n",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"\r\n",
    b"\n\n",
    b"\x0b",
    b"\xff",
    b"0",
    b"-",
    b"",
)


@dataclass(frozen=True)
class Message:
    """One request, whose body is hidden: no reading of its framing makes another request of it."""

    head: bytes
    body: bytes
    is_hidden: bool


@dataclass(frozen=True)
class Attempt:
    """The packets of one connection, in order."""

    packets: tuple[bytes, ...]
    pauses: tuple[float, ...]
    is_hidden: bool
    """Whether nothing in any body may ever be understood as a request."""


@st.composite
def chunks(draw: st.DrawFn, body: bytes) -> bytes:
    """Return a body in chunks."""
    coded = b""
    while body:
        size = draw(st.integers(1, len(body)))
        extension = draw(st.sampled_from((b"", b"", b";a", b";a=b", b';a="b"')))
        coded += b"%x%b\r\n%b\r\n" % (size, extension, body[:size])
        body = body[size:]
    return coded + b"0\r\n" + draw(st.sampled_from(TRAILERS)) + b"\r\n"


@st.composite
def framings(draw: st.DrawFn, body: bytes) -> tuple[tuple[bytes, ...], bytes, bool]:
    """Return framing headers, the body as it is sent, and whether it is hidden."""
    kind = draw(st.sampled_from(("length", "length", "chunks", "chunks", "both", "lengths", "odd", "none")))
    coded = draw(chunks(body)) if kind in {"chunks", "both"} else body
    length = b"Content-Length: %d" % len(coded)
    if kind == "none":
        return (), coded, not body
    if kind == "length":
        return (length,), coded, True
    if kind == "chunks":
        return (b"Transfer-Encoding: " + draw(st.sampled_from(CODINGS)),), coded, True
    if kind == "both":
        pair = draw(st.permutations((length, b"Transfer-Encoding: " + draw(st.sampled_from(CODINGS)))))
        return tuple(pair), coded, True
    if kind == "lengths":
        other = draw(
            st.sampled_from((length, b"Content-Length: 0", b"Content-Length: 4", b"content-length: x"))
        )
        return tuple(draw(st.permutations((length, other)))), coded, True
    value = draw(
        st.sampled_from((b"+%d", b"-%d", b"0x%x", b"%d, %d", b"0%d", b"%d ", b"%d;", b"%d.0", b"\x0b%d"))
    )
    return (
        (b"Content-Length: " + value.replace(b"%d", b"%d" % len(coded)).replace(b"%x", b"%x" % len(coded)),),
        coded,
        True,
    )


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Return a request."""
    framing, body, is_hidden = draw(framings(draw(st.sampled_from(BODIES))))
    own = draw(st.lists(st.sampled_from(HEADERS), max_size=5))
    host = draw(st.sampled_from(((b"Host: gateway",),) * 8 + ((), (b"Host: a", b"Host: b"))))
    upgrade = draw(st.sampled_from(UPGRADES))
    lines = draw(st.permutations((*host, *framing, *upgrade, *own)))
    version = draw(st.sampled_from((b"1.1",) * 10 + (b"1.0", b"2.0")))
    method = draw(st.sampled_from(METHODS)).encode()
    start = method + b" " + draw(st.sampled_from(TARGETS)) + b" HTTP/" + version
    return Message(b"\r\n".join((start, *lines)) + b"\r\n\r\n", body, is_hidden)


@st.composite
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    """Return the bytes with one of them replaced, removed, or joined by others."""
    at = draw(st.integers(0, max(0, len(content) - 1)))
    kept = draw(st.integers(0, 1))
    return content[:at] + draw(st.sampled_from(MUTATIONS)) + content[at + 1 - kept :]


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    """Return what is sent over one connection."""
    several = draw(st.lists(messages(), min_size=1, max_size=4))
    content = b"".join(one.head + one.body for one in several)
    is_mutated = draw(st.sampled_from((False, False, True)))
    if is_mutated:
        content = draw(mutated(content))
    # Where a head ends is where a second packet does most harm.
    ends = [len(several[0].head)] if not is_mutated else []
    cuts = draw(st.lists(st.sampled_from(ends) if ends else st.nothing(), max_size=1)) if ends else []
    cuts += draw(st.lists(st.integers(1, len(content)), max_size=2))
    edges = [0, *sorted(set(cuts)), len(content)]
    packets = tuple(content[start:end] for start, end in pairwise(edges) if start < end)
    pauses = tuple(draw(st.sampled_from((0.0, 0.005, 0.03))) for _ in packets)
    return Attempt(packets, pauses, all(one.is_hidden for one in several) and not is_mutated)
