"""Heads and bodies that have two meanings reach no app; what has one meaning does, as it came."""

import pytest
from guarded_app import Recorder
from wire import wire_to

H = b"Host: a.example\r\n"
NEXT = b"GET /next HTTP/1.1\r\n" + H + b"\r\n"


def post(*headers: bytes, version: bytes = b"1.1", target: bytes = b"/a") -> bytes:
    return (
        b"POST " + target + b" HTTP/" + version + b"\r\n" + b"".join(h + b"\r\n" for h in headers) + b"\r\n"
    )


REFUSED: dict[str, tuple[bytes, int]] = {
    "length and chunked": (
        post(b"Host: a", b"Content-Length: 3", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
        400,
    ),
    "chunked and length": (
        post(b"Host: a", b"Transfer-Encoding: chunked", b"Content-Length: 3") + b"0\r\n\r\n",
        400,
    ),
    "two lengths": (post(b"Host: a", b"Content-Length: 2", b"Content-Length: 2") + b"ab", 400),
    "list of lengths": (post(b"Host: a", b"Content-Length: 2, 2") + b"ab", 400),
    "signed length": (post(b"Host: a", b"Content-Length: +2") + b"ab", 400),
    "negative length": (post(b"Host: a", b"Content-Length: -2") + b"ab", 400),
    "hexadecimal length": (post(b"Host: a", b"Content-Length: 0x2") + b"ab", 400),
    "empty length": (post(b"Host: a", b"Content-Length: ") + b"ab", 400),
    "length of 5,000 zeros": (post(b"Host: a", b"Content-Length: " + b"0" * 5_000), 400),
    "length over 64 bits": (post(b"Host: a", b"Content-Length: 99999999999999999999999"), 400),
    "two codings": (
        post(b"Host: a", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
        400,
    ),
    "coding list": (post(b"Host: a", b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 400),
    "identity": (post(b"Host: a", b"Transfer-Encoding: identity") + b"ab", 400),
    "unknown coding": (post(b"Host: a", b"Transfer-Encoding: xchunked") + b"0\r\n\r\n", 400),
    "coding in HTTP/1.0": (
        post(b"Host: a", b"Transfer-Encoding: chunked", version=b"1.0") + b"0\r\n\r\n",
        400,
    ),
    "no host": (post(), 400),
    "no host in HTTP/1.0": (post(version=b"1.0"), 400),
    "two hosts": (post(b"Host: a", b"Host: a"), 400),
    "two authorizations": (post(b"Host: a", b"Authorization: Bearer a", b"Authorization: Bearer b"), 400),
    "two signatures": (post(b"Host: a", b"Stripe-Signature: t=1", b"Stripe-Signature: t=1"), 400),
    "host list": (post(b"Host: a, b"), 400),
    "host with a space": (post(b"Host: a b"), 400),
    "space before colon": (post(b"Host: a", b"Content-Length : 2") + b"ab", 400),
    "folded line": (post(b"Host: a", b"X-A: b", b" folded"), 400),
    "bare line feed": (b"POST /a HTTP/1.1\nHost: a\n\n", 400),
    "bare carriage return": (b"POST /a HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400),
    "NUL in a value": (post(b"Host: a", b"X-A: b\0c"), 400),
    "CONNECT": (b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", 501),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /a\r\n\r\n", 505),
    "HTTP/2.0": (b"GET /a HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "other authority": (b"GET http://b.example/a HTTP/1.1\r\nHost: a.example\r\n\r\n", 400),
    "authority with a user": (b"GET http://a@a/a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "unknown expectation": (post(b"Host: a", b"Expect: 200-ok", b"Content-Length: 2") + b"ab", 417),
    "target of 8 KiB and more": (b"GET /" + b"a" * 8_192 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "target of 100 KiB": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "one header of 70 KiB": (post(b"Host: a", b"X-A: " + b"b" * 70_000), 431),
    "many headers of 64 KiB in all": (
        post(b"Host: a", *[b"X-%d: " % n + b"b" * 1_000 for n in range(70)]),
        431,
    ),
    "101 headers": (post(b"Host: a", *[b"X-%d: b" % n for n in range(100)]), 431),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_ambiguous_or_too_long_head_is_refused_and_nothing_behind_it_is_read(
    app: Recorder, name: str
) -> None:
    content, status = REFUSED[name]
    async with wire_to(app.url) as wire:
        await wire.send(content, NEXT)
        said = await wire.hear(b"POST")
    assert said.statuses == [status]
    assert said.is_closed
    assert said.headers[0][b"connection"] == b"close"
    assert app.received == []


CHUNKED = post(b"Host: a", b"Transfer-Encoding: chunked")
BROKEN_BODIES: dict[str, bytes] = {
    "size of no hexadecimal": b"xyz\r\nabc\r\n0\r\n\r\n",
    "negative size": b"-3\r\nabc\r\n0\r\n\r\n",
    "size beyond 64 bits": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "size too small": b"2\r\nabc\r\n0\r\n\r\n",
    "bare line feed after size": b"3\nabc\r\n0\r\n\r\n",
    "extension of 100 kB": b"3;a=" + b"b" * 100_000 + b"\r\nabc\r\n0\r\n\r\n",
    "trailers of 1 MB": b"3\r\nabc\r\n0\r\n" + b"X-A: b\r\n" * 125_000 + b"\r\n",
    "endless trailer after the credit of many chunks": b"1\r\na\r\n" * 20_000
    + b"0\r\nX-A: "
    + b"b" * 100_000,
    "length as a trailer": b"3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n",
    "one trailer of 1 MB": b"3\r\nabc\r\n0\r\nX-A: " + b"b" * 1_000_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN_BODIES)
async def test_broken_or_bloated_chunks_end_the_connection_and_complete_no_body(
    app: Recorder, name: str
) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(CHUNKED + BROKEN_BODIES[name], NEXT)
        said = await wire.hear(b"POST")
    assert said.statuses in ([400], [])
    assert said.is_closed
    assert [body for _, _, body in app.received if body is not None] == []


async def test_trailers_are_dropped_and_never_become_headers(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(CHUNKED + b"3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\nHost: b\r\n\r\n" + NEXT)
        said = await wire.hear(b"POST", b"GET")
    assert said.statuses == [200, 200]
    assert app.received == [("POST", "/a", b"abc"), ("GET", "/next", b"")]
    assert app.headers[0] == [(b"host", b"a"), (b"transfer-encoding", b"chunked")]


async def test_high_header_bytes_arrive_as_they_came(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(b"GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: Caf\xe9/1.0 \xc3\xa9\r\n\r\n")
        assert (await wire.hear()).statuses == [200]
    assert (b"user-agent", b"Caf\xe9/1.0 \xc3\xa9") in app.headers[0]


ACCEPTED: dict[str, bytes] = {
    "padded length": post(b"Host: a", b"Content-Length: 003") + b"abc",
    "space behind a length": post(b"Host: a ", b"Content-Length: 3 \t") + b"abc",
    "coding in capitals": post(b"Host: a", b"Transfer-Encoding: CHUNKED") + b"3\r\nabc\r\n0\r\n\r\n",
    "small extensions": CHUNKED + b"1;a=b\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
    "absolute form": post(b"Host: a", b"Content-Length: 3", target=b"http://A/a") + b"abc",
    "HTTP/1.0": post(b"Host: a", b"Content-Length: 3", version=b"1.0") + b"abc",
    "expectation": post(b"Host: a", b"Expect: 100-Continue", b"Content-Length: 3") + b"abc",
    "blank lines before": b"\r\n\r\n" + post(b"Host: a", b"Content-Length: 3") + b"abc",
}


@pytest.mark.parametrize("name", ACCEPTED)
async def test_odd_request_with_one_meaning_is_served(app: Recorder, name: str) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(ACCEPTED[name])
        said = await wire.hear(b"POST")
    assert said.statuses == [200]
    assert app.received == [("POST", "/a", b"abc")]


async def test_small_chunks_of_a_large_body_are_served(app: Recorder) -> None:
    body = bytes(range(97, 107)) * 10_000
    chunks = b"".join(b"1\r\n%c\r\n" % letter for letter in body)
    async with wire_to(app.url) as wire:
        await wire.send(CHUNKED + chunks + b"0\r\n\r\n")
        assert (await wire.hear(b"POST")).statuses == [200]
    assert app.received == [("POST", "/a", body)]


async def test_trailer_that_asks_to_close_ends_the_connection_with_its_answer(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(CHUNKED + b"3\r\nabc\r\n0\r\nConnection: close\r\n\r\n")
        said = await wire.hear(b"POST")
    assert said.statuses == [200]
    assert said.headers[0][b"connection"] == b"close"
    assert said.is_closed


async def test_broken_body_behind_an_expectation_is_no_failure_of_the_app(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(post(b"Host: a", b"Expect: 100-continue", b"Transfer-Encoding: chunked") + b"ZZ\r\n")
        said = await wire.hear(b"POST")
    assert said.statuses == [400]
    assert app.received == [("POST", "/a", None)]
