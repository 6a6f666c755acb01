"""An offer of another protocol never changes where a request ends."""

import pytest
from guarded_app import Recorder
from wire import wire_to

TOKENS = (b"websocket", b"h2c", b"TLS/1.0", b"nonsense, h2c")
METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def offer(method: bytes, token: bytes, *framing: bytes) -> bytes:
    lines = [
        method + b" /a HTTP/1.1",
        b"Host: a",
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: " + token,
    ]
    return b"\r\n".join([*lines, b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", *framing, b"", b""])


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("is_split", [False, True])
async def test_body_behind_an_offer_stays_the_body_and_the_connection_ends(
    app: Recorder, method: bytes, token: bytes, is_split: bool
) -> None:
    head = offer(method, token, b"Content-Length: %d" % len(SMUGGLED))
    async with wire_to(app.url) as wire:
        await wire.send(*([head, SMUGGLED] if is_split else [head + SMUGGLED]))
        said = await wire.hear(method)
    assert said.statuses == [200]
    assert said.is_closed
    assert app.received == [(method.decode(), "/a", SMUGGLED)]
    assert {name for name, _ in app.headers[0]} == {b"host", b"content-length", b"connection"}


async def test_chunked_body_behind_an_offer_stays_the_body(app: Recorder) -> None:
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
    async with wire_to(app.url) as wire:
        await wire.send(offer(b"POST", b"h2c", b"Transfer-Encoding: chunked"), chunks, SMUGGLED)
        said = await wire.hear(b"POST")
    assert said.statuses == [200]
    assert said.is_closed
    assert app.received == [("POST", "/a", SMUGGLED)]


@pytest.mark.parametrize("token", TOKENS)
async def test_offer_without_a_body_is_served_and_nothing_behind_it_is_read(
    app: Recorder, token: bytes
) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(offer(b"GET", token) + SMUGGLED, SMUGGLED)
        said = await wire.hear()
    assert said.statuses == [200]
    assert said.is_closed
    assert app.received == [("GET", "/a", b"")]
