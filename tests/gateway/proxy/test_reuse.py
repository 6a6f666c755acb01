"""When an upstream connection is used again, and when it is closed."""

import asyncio

import pytest
from forwarding import NO_BODY, Caller, Forwarding, forwarding, part
from raw_http import OK, Scripted, hang_up, raw_server, said_to
from tiny_gateway import StartGateway

from mainstem.common.errors import BadGatewayError, UnavailableError
from mainstem.common.http.calls.breaker import FAILURES_TO_OPEN

POISON = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"


async def ended(upstream: Scripted, number: int = 0) -> None:
    async with asyncio.timeout(3):
        await upstream.ended[number].wait()


async def bodies(gateway: Forwarding, times: int) -> list[bytes]:
    return [(await gateway.get()).body for _ in range(times)]


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK,
    ],
)
async def test_a_whole_exchange_leaves_its_connection_for_the_next(answer: bytes) -> None:
    upstream = Scripted([answer])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        assert await bodies(gateway, 5) == [b"ok"] * 5
        await gateway.post([part(b"x")])
    assert len(upstream.connections) == 1


@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: X-A, Close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + POISON,
        OK + b"H",
        OK + b"\r\n",
        OK + b"\0",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + POISON,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nX",
    ],
)
async def test_an_answer_that_ends_its_connection_or_has_more_behind_it_leaves_none(first: bytes) -> None:
    upstream = Scripted([first, OK])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        assert await bodies(gateway, 2) == [b"ok"] * 2
        await ended(upstream)
    assert len(upstream.connections) == 2


async def test_an_answer_without_a_body_has_nothing_behind_it_either() -> None:
    upstream = Scripted([b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison", OK])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        head = await gateway.get(method="HEAD")
        assert (head.fields, head.body) == ([(b"content-length", b"6")], b"")
        assert await bodies(gateway, 1) == [b"ok"]
    assert len(upstream.connections) == 2


@pytest.mark.parametrize("late", [POISON, b"\r\n", b"H"])
async def test_any_byte_on_an_idle_connection_closes_it(late: bytes) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while await reader.read(10_000):
            writer.write(OK)
        closed.set()

    connections = list[asyncio.StreamWriter]()
    closed = asyncio.Event()
    async with raw_server(behave) as url, forwarding(url) as gateway:
        assert await bodies(gateway, 2) == [b"ok"] * 2
        connections[0].write(late)
        async with asyncio.timeout(3):
            await closed.wait()
        assert await bodies(gateway, 1) == [b"ok"]
    assert len(connections) == 2


async def test_an_idle_connection_is_closed_before_the_upstream_would() -> None:
    upstream = Scripted([OK])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        await gateway.get()
        await asyncio.sleep(1.0)
        assert not upstream.ended[0].is_set()
        async with asyncio.timeout(3.5):
            await upstream.ended[0].wait()


async def test_an_early_answer_is_passed_on_and_the_rest_of_the_request_is_not_sent() -> None:
    refusal = b"HTTP/1.1 422 Unprocessable\r\ncontent-length: 2\r\n\r\nno"
    upstream = Scripted([refusal, OK])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        first = await gateway.post([part(b"1", more=True)], (b"content-length", b"1000"))
        assert (first.status, first.body, first.is_whole) == (422, b"no", True)
        await ended(upstream)
        assert await bodies(gateway, 1) == [b"ok"]
    assert len(upstream.connections) == 2


async def test_an_early_answer_to_a_large_body_leaves_no_connection() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.read(100)
        writer.write(OK)
        # Reads nothing more, so that the rest of the request stays with the gateway.
        await writer.drain()
        await asyncio.sleep(0.3)

    connections = list[asyncio.StreamWriter]()
    async with raw_server(behave) as url, forwarding(url) as gateway:
        for _ in range(2):
            got = await gateway.post([part(b"x" * 20_000_000)])
            assert (got.status, got.body) == (200, b"ok")
    assert len(connections) == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_caller_who_leaves_ends_a_request_whose_answer_has_not_begun(
    start_gateway: StartGateway, method: str
) -> None:
    upstream = Scripted([b""])
    async with raw_server(upstream) as url:
        gateway = await start_gateway(upstream_billing=url)
        text = f"{method} /raw/x HTTP/1.1\nhost: a\ncontent-length: 0\n\n"
        for number in range(FAILURES_TO_OPEN + 1):
            _, writer = await said_to(gateway, text)
            async with asyncio.timeout(3):
                while len(upstream.connections) <= number or not upstream.connections[number]:  # noqa: ASYNC110 -- another task's request
                    await asyncio.sleep(0.01)
            await hang_up(writer)
            await ended(upstream, number)
        upstream.answers = [OK]
        assert (await gateway.http.get("/raw/x")).text == "ok"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_stale_connection_is_replaced_once_for_a_safe_method(method: str) -> None:
    upstream = Scripted([OK])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        await gateway.get()
        upstream.answers, upstream.is_closing = [b"", OK], True
        assert (await gateway.get(method=method)).status == 200
        assert len(upstream.connections) == 2


async def test_a_stale_connection_is_replaced_no_second_time() -> None:
    upstream = Scripted([OK])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        await gateway.get()
        upstream.answers, upstream.is_closing = [b""], True
        with pytest.raises(BadGatewayError):
            await gateway.get()
    assert b"".join(upstream.connections).count(b"GET ") == 3


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_request_that_may_have_been_served_is_not_sent_again(method: str) -> None:
    upstream = Scripted([OK])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        await gateway.get()
        upstream.answers, upstream.is_closing = [b""], True
        with pytest.raises(BadGatewayError):
            await gateway.get(method=method)
    assert b"".join(upstream.connections).count(method.encode()) == 1


async def test_an_answer_that_has_begun_is_not_asked_for_again() -> None:
    upstream = Scripted([OK])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        await gateway.get()
        upstream.answers, upstream.is_closing = [b"HTTP/1.1 2"], True
        with pytest.raises(BadGatewayError):
            await gateway.get()
    assert b"".join(upstream.connections).count(b"GET ") == 2


async def test_a_full_pool_is_503_and_not_the_upstreams_failure() -> None:
    upstream = Scripted([b"", OK])
    async with raw_server(upstream) as url, forwarding(url, connections=1) as gateway:
        holding = asyncio.create_task(gateway.get())
        while not upstream.connections:  # noqa: ASYNC110 -- another task's request
            await asyncio.sleep(0.01)
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(UnavailableError):
                await gateway.call(Caller([NO_BODY]), timeout_seconds=0.05)
        assert not gateway.breaker.is_open
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        assert await bodies(gateway, 1) == [b"ok"]
        assert len(upstream.connections) == 2


async def test_callers_that_read_slowly_hold_no_connection_for_a_whole_answer() -> None:
    upstream = Scripted([OK])
    async with raw_server(upstream) as url, forwarding(url, connections=1) as gateway:
        slow = asyncio.create_task(gateway.call(Caller([NO_BODY], send_seconds=60)))
        await asyncio.sleep(0.1)
        assert await bodies(gateway, 1) == [b"ok"]
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
    assert len(upstream.connections) == 1


async def test_callers_that_send_slowly_leave_connections_for_others() -> None:
    upstream = Scripted([OK])
    async with raw_server(upstream) as url, forwarding(url, connections=2) as gateway:
        slow = [
            asyncio.create_task(
                gateway.post([part(b"1", more=True)], (b"content-length", b"9"), timeout_seconds=60)
            )
            for _ in range(10)
        ]
        upstream.answers = [b""]
        await asyncio.sleep(0.2)
        upstream.answers = [OK]
        assert await bodies(gateway, 1) == [b"ok"]
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        assert await bodies(gateway, 1) == [b"ok"]
