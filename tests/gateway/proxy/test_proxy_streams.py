import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from raw_http import events_of, hang_up, parts_of, said_to, until
from starlette.types import Receive, Send
from structlog.typing import EventDict
from tiny_gateway import Gateway, Upstream, answer, read_all


async def test_a_large_answer_streams_while_it_is_made(gateway: Gateway, upstream: Upstream) -> None:
    go_on = asyncio.Event()

    async def large(_receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go_on.wait()
        for _ in range(64):
            await send({"type": "http.response.body", "body": b"x" * 262_144, "more_body": True})
        await send({"type": "http.response.body"})

    upstream.answers["large"] = large
    async with gateway.http.stream("GET", "/open/large") as got:
        parts = got.aiter_raw()
        assert await anext(parts) == b"first"
        go_on.set()
        assert sum([len(part) async for part in parts]) == 64 * 262_144


async def test_a_slow_reader_holds_the_upstream_back(gateway: Gateway, upstream: Upstream) -> None:
    sent = 0

    async def endless(_receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(400):
            await send({"type": "http.response.body", "body": b"x" * 262_144, "more_body": True})
            sent += 262_144

    upstream.answers["endless"] = endless
    with suppress(httpx.RemoteProtocolError):
        async with gateway.http.stream("GET", "/open/endless"):
            await asyncio.sleep(1.0)
            assert sent < 60_000_000


async def test_a_body_streams_on_before_it_is_whole(gateway: Gateway, upstream: Upstream) -> None:
    has_begun = asyncio.Event()
    got: list[bytes] = []

    async def watch(receive: Receive, send: Send) -> None:
        got.append((await receive())["body"])
        has_begun.set()
        got.append(await read_all(receive) or b"")
        await answer(send, 200, b"")

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        async with asyncio.timeout(3):
            await has_begun.wait()
        yield b"two"

    upstream.unread["watch"] = watch
    assert (await gateway.http.post("/open/watch", content=parts())).status_code == 200
    assert b"".join(got) == b"onetwo"


@pytest.mark.parametrize("size", [999, 1_000, 1_001, 300_000])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_over_the_limit_is_413_however_it_comes(
    gateway: Gateway, upstream: Upstream, size: int, is_chunked: bool
) -> None:
    body = b"x" * size
    content: Any = parts_of(body[:600], body[600:], pause=0.02) if is_chunked else body
    answer = await gateway.http.post("/small", content=content)
    if size <= 1_000:
        assert (answer.status_code, upstream.last.body) == (200, body)
        return
    assert answer.status_code == 413
    assert answer.json()["detail"] == "the body may have 1000 bytes at most"
    assert upstream.received == []


@pytest.mark.parametrize("first", ["", "some"])
async def test_a_body_that_does_not_come_is_408(gateway: Gateway, first: str) -> None:
    text = f"POST /hasty/door HTTP/1.1\nhost: a\ncontent-length: 100\n\n{first}"
    reader, writer = await said_to(gateway, text)
    async with asyncio.timeout(5):
        assert b" 408 " in await reader.readline()
    await hang_up(writer)


async def test_an_upstream_may_answer_before_it_has_read_all(
    gateway: Gateway, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(_receive: Receive, send: Send) -> None:
        await answer(send, 422, b"no")

    upstream.unread["refuse"] = refuse
    for _ in range(3):
        content = parts_of(*[b"x" * 1_000] * 20, pause=0.02)
        got = await gateway.http.post("/open/refuse", content=content)
        assert (got.status_code, got.text) == (422, "no")
    assert (await gateway.http.post("/open/door", content=b"x")).status_code == 200
    assert "exception" not in caplog.text.lower()


async def test_a_caller_who_leaves_while_downloading_ends_the_upstreams_answer(
    gateway: Gateway, upstream: Upstream, logged: list[EventDict]
) -> None:
    left = asyncio.Event()

    async def drip(receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await receive()
        left.set()

    upstream.answers["drip"] = drip
    async with gateway.http.stream("GET", "/open/drip") as got:
        assert await anext(got.aiter_raw()) == b"first"
    async with asyncio.timeout(3):
        await left.wait()
    await until(lambda: "request.abandoned" in events_of(logged))


async def test_a_caller_who_leaves_while_uploading_ends_the_upstreams_request(
    gateway: Gateway, upstream: Upstream, logged: list[EventDict]
) -> None:
    has_begun, kinds = asyncio.Event(), list[str]()
    left = asyncio.Event()

    async def watch(receive: Receive, _send: Send) -> None:
        while "http.disconnect" not in kinds:
            kinds.append((await receive())["type"])
            has_begun.set()
        left.set()

    upstream.unread["watch"] = watch
    _, writer = await said_to(gateway, "POST /open/watch HTTP/1.1\nhost: a\ncontent-length: 100\n\nsome")
    async with asyncio.timeout(3):
        await has_begun.wait()
        await hang_up(writer)
        await left.wait()
    await until(lambda: "request.abandoned" in events_of(logged))


async def test_a_caller_who_leaves_while_waiting_frees_the_gateway_at_once(
    gateway: Gateway, upstream: Upstream, logged: list[EventDict]
) -> None:
    has_come = asyncio.Event()

    async def never(receive: Receive, _send: Send) -> None:
        has_come.set()
        await receive()

    upstream.answers["never"] = never
    _, writer = await said_to(gateway, "GET /open/never HTTP/1.1\nhost: a\n\n")
    async with asyncio.timeout(3):
        await has_come.wait()
    await hang_up(writer)
    await until(lambda: "request.abandoned" in events_of(logged))


async def test_a_whole_answer_is_never_logged_as_abandoned(
    gateway: Gateway, upstream: Upstream, logged: list[EventDict]
) -> None:
    for number in range(50):
        assert (await gateway.http.post("/open/door", content=b"x" * number)).status_code == 200
    assert set(events_of(logged)) == {"request.served"}
