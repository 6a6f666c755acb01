import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Send
from structlog.typing import EventDict
from tiny_gateway import Gateway, StartGateway, Upstream, answer, read_all

CONTACT = "/ctms/332de237-cab7-4461-bcc3-48e68f42bd5c"
Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def parts_of(*parts: bytes, pause: float = 0.0) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
        await asyncio.sleep(pause)


@asynccontextmanager
async def raw_server(behave: Behave) -> AsyncIterator[str]:
    """A server below HTTP, for answers that no framework would give."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await behave(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.binary(max_size=3_000), max_size=5), is_chunked=st.booleans())
async def test_any_body_arrives_unchanged_on_a_public_route(
    gateway: Gateway, upstream: Upstream, parts: list[bytes], is_chunked: bool
) -> None:
    content: Any = parts_of(*parts) if is_chunked else b"".join(parts)
    answer = await gateway.http.post("/webhooks/stripe", content=content)
    assert answer.status_code == 200
    assert upstream.last.body == b"".join(parts)


async def test_what_a_provider_signed_is_left_untouched(gateway: Gateway, upstream: Upstream) -> None:
    body = '{"id": "evt_1",\r\n  "name": "caf\u00e9 \U0001f980"}'.encode()
    headers = {"Stripe-Signature": "t=1,v1=00", "Content-Type": "application/json; charset=utf-8"}
    await gateway.http.post("/webhooks/stripe?a=%20b+c&a=2&q='x'", content=body, headers=headers)
    got = upstream.last
    assert (got.method, got.raw_path, got.body) == ("POST", b"/webhooks/stripe", body)
    assert got.query in {b"a=%20b+c&a=2&q='x'", b"a=%20b+c&a=2&q=%27x%27"}
    assert got.values("stripe-signature") == ["t=1,v1=00"]
    assert got.values("content-type") == ["application/json; charset=utf-8"]
    assert got.values("content-length") == [str(len(body))]


async def said_to(gateway: Gateway, text: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Write a request by hand, since httpx mends, traces and pools its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(gateway.url).port)
    writer.write(text.replace("\n", "\r\n").encode())
    return reader, writer


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while not is_so():  # noqa: ASYNC110 -- what is waited for is another task's log line
            await asyncio.sleep(0.01)


async def test_a_query_with_characters_of_its_own_arrives_with_the_same_meaning(
    gateway: Gateway, upstream: Upstream
) -> None:
    text = "GET /open/door?a=<\"'|>&b=%C3%A9&c=+%2B HTTP/1.1\nhost: a\nconnection: close\n\n"
    reader, writer = await said_to(gateway, text)
    assert b" 200 " in await reader.readline()
    await hang_up(writer)
    assert parse_qs(upstream.last.query.decode()) == {"a": ["<\"'|>"], "b": ["\u00e9"], "c": [" +"]}


async def test_headers_of_one_connection_are_not_passed_on(gateway: Gateway, upstream: Upstream) -> None:
    async def reply(_receive: Receive, send: Send) -> None:
        headers = [(b"connection", b"x-hop"), (b"x-hop", b"1"), (b"keep-alive", b"timeout=9")]
        await answer(send, 200, b"", [*headers, (b"x-end", b"1"), (b"x-end", b"2"), (b"server", b"secret/1")])

    upstream.answers["door"] = reply
    given = {"Connection": "keep-alive, X-Hop", "X-Hop": "1", "TE": "trailers", "X-End": "caf\u00e9"}
    got = await gateway.http.get("/open/door", headers=httpx.Headers(given, encoding="utf-8"))
    sent = upstream.last
    assert [sent.values(name) for name in ("x-hop", "te", "keep-alive")] == [[], [], []]
    assert sent.values("x-end") == ["caf\u00e9"]
    assert "x-hop" not in got.headers
    assert "keep-alive" not in got.headers
    assert "server" not in got.headers
    assert got.headers.get_list("x-end") == ["1", "2"]


async def test_the_gateway_says_itself_where_a_request_comes_from(
    gateway: Gateway, upstream: Upstream
) -> None:
    forged = {
        "X-Forwarded-Host": "evil.example.com",
        "X-Forwarded-Port": "1",
        "Forwarded": "for=1.2.3.4",
        "X-Real-IP": "1.2.3.4",
        "Host": "api.example.com",
    }
    await gateway.http.get("/open/door", headers=forged)
    sent = upstream.last
    assert sent.values("x-forwarded-for") == ["127.0.0.1"]
    assert sent.values("x-forwarded-proto") == ["http"]
    assert sent.values("x-forwarded-host") == ["api.example.com"]
    assert [sent.values(name) for name in ("x-forwarded-port", "forwarded", "x-real-ip")] == [[], [], []]


async def test_one_request_id_and_one_trace_run_through(gateway: Gateway, upstream: Upstream) -> None:
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    given = f"x-request-id: mine-1\ntraceparent: 00-{trace_id}-{span_id}-01\ntracestate: a=b"
    text = f"GET /open/door HTTP/1.1\nhost: a\nconnection: close\n{given}\n\n"
    reader, writer = await said_to(gateway, text)
    answer = await reader.read()
    await hang_up(writer)
    (traceparent,) = upstream.last.values("traceparent")
    assert upstream.last.values("x-request-id") == ["mine-1"]
    assert answer.count(b"x-request-id: mine-1") == 1
    assert traceparent.split("-")[1] == trace_id
    assert traceparent.split("-")[2] != span_id
    got = await gateway.http.get("/open/door")
    assert upstream.last.values("x-request-id") == [got.headers["x-request-id"]]
    assert upstream.last.values("traceparent")[0].split("-")[1] != trace_id


async def test_an_answer_comes_back_as_it_was_given(gateway: Gateway, upstream: Upstream) -> None:
    async def created(_receive: Receive, send: Send) -> None:
        headers = [(b"location", b"/ctms/1"), (b"content-encoding", b"gzip"), (b"content-length", b"3")]
        await answer(send, 201, b"\x1f\x8b\x00", headers)

    async def nothing(_receive: Receive, send: Send) -> None:
        await answer(send, 204, b"")

    async def elsewhere(_receive: Receive, send: Send) -> None:
        await answer(send, 307, b"", [(b"location", b"http://127.0.0.1:9/")])

    upstream.answers = {"created": created, "nothing": nothing, "elsewhere": elsewhere}
    async with gateway.http.stream("GET", "/open/created") as got:
        raw = b"".join([part async for part in got.aiter_raw()])
    assert (got.status_code, got.headers["location"], raw) == (201, "/ctms/1", b"\x1f\x8b\x00")
    assert (await gateway.http.get("/open/nothing")).status_code == 204
    moved = await gateway.http.get("/open/elsewhere")
    assert (moved.status_code, moved.headers["location"]) == (307, "http://127.0.0.1:9/")


async def test_head_has_the_headers_and_no_body(gateway: Gateway, upstream: Upstream) -> None:
    async def sized(_receive: Receive, send: Send) -> None:
        await answer(send, 200, b"12345", [(b"content-length", b"5")])

    upstream.answers["sized"] = sized
    got = await gateway.http.head("/open/sized")
    assert (got.status_code, got.headers["content-length"], got.content) == (200, "5", b"")
    assert upstream.last.method == "HEAD"


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


async def test_an_unknown_path_is_404_and_a_known_one_tells_its_methods(gateway: Gateway) -> None:
    unknown = await gateway.http.get("/nothing")
    other = await gateway.http.delete("/ctms/1")
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "Not Found")
    assert unknown.headers["content-type"] == "application/problem+json"
    assert (other.status_code, other.headers["allow"]) == (405, "GET, HEAD")


async def test_an_upstream_that_is_away_is_502_and_nothing_of_it_shows(gateway: Gateway) -> None:
    answer = await gateway.http.get("/nowhere")
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/problem+json"
    assert "127.0.0.1" not in answer.text
    assert "connect" not in answer.text.lower()


@pytest.mark.parametrize(
    "said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nx-name: caf\xe9\r\ncontent-length: 0\r\n\r\n"]
)
async def test_an_upstream_that_answers_nonsense_is_502(start_gateway: StartGateway, said: bytes) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    async with raw_server(behave) as url:
        gateway = await start_gateway(upstream_billing=url)
        assert (await gateway.http.get("/nowhere")).status_code == 502


async def test_an_answer_that_breaks_off_does_not_look_whole(start_gateway: StartGateway) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        await writer.drain()

    async with raw_server(behave) as url:
        gateway = await start_gateway(upstream_billing=url)
        with pytest.raises(httpx.RemoteProtocolError):
            await gateway.http.get("/nowhere")


async def test_an_upstream_that_takes_too_long_is_504(gateway: Gateway, upstream: Upstream) -> None:
    left = asyncio.Event()

    async def wait(receive: Receive, _send: Send) -> None:
        await receive()
        left.set()

    upstream.answers["slow"] = wait
    started_at = time.monotonic()
    answer = await gateway.http.get("/hasty/slow")
    assert answer.status_code == 504
    assert time.monotonic() - started_at < 3
    async with asyncio.timeout(3):
        await left.wait()


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


async def test_thirty_two_at_once_all_get_their_own_answer(gateway: Gateway, upstream: Upstream) -> None:
    bearer = await gateway.bearer(await gateway.add_client("demo"))

    async def call(worker: int) -> None:
        for number in range(10):
            body = f"{worker}-{number}".encode()
            answer = await gateway.http.post("/ctms", headers=bearer, content=body)
            assert answer.status_code == 200

    await asyncio.gather(*(call(worker) for worker in range(32)))
    bodies = {received.body for received in upstream.received}
    assert len(bodies) == len(upstream.received) == 320
    assert len({tuple(received.values("authorization")) for received in upstream.received}) == 1


async def test_health_answers_beside_the_routes(gateway: Gateway) -> None:
    ready = await gateway.http.get("/__heartbeat__")
    assert (ready.status_code, ready.json()["database"]["up"]) == (200, True)
    assert (await gateway.http.get("/__lbheartbeat__")).status_code == 200
    assert (await gateway.http.get("/__version__")).json()["service"] == "gateway"
    assert (await gateway.http.get("/metrics")).status_code == 200


def events_of(logged: list[EventDict]) -> list[str]:
    return [event["event"] for event in logged]
