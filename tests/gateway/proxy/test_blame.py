"""Which failures count against an upstream: its own, and none of its callers'."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from forwarding import NO_BODY, Caller, Forwarding, forwarding, part
from raw_http import OK, Scripted, hang_up, parts_of, raw_server, said_to
from starlette.types import Message
from tiny_gateway import Gateway, StartGateway

from mainstem.common.errors import BadGatewayError, GatewayTimeoutError, MainstemError, UnavailableError
from mainstem.common.http.calls.breaker import FAILURES_TO_OPEN
from mainstem.common.http.requests.budget import Budget, Holding
from mainstem.gateway.proxy.body import ClientGoneError, IncomingBody
from mainstem.gateway.proxy.watch import Watch
from mainstem.sandbox.servers.ports import Ports

LENGTH_9 = (b"content-length", b"9")
GONE: Message = {"type": "http.disconnect"}


@pytest.fixture
def scripted() -> Scripted:
    return Scripted([OK])


@pytest.fixture
async def gateway_to(scripted: Scripted) -> AsyncIterator[Forwarding]:
    async with raw_server(scripted) as url, forwarding(url) as gateway:
        yield gateway


@pytest.mark.parametrize(
    "messages",
    [
        [GONE],
        [part(b"1", more=True), GONE],
        [part(b"1", more=True)],
        [part(b"1", more=True), part(b"2")],
        [part(b"1", more=True), part(b"x" * 10)],
        [],
    ],
)
async def test_callers_who_do_not_finish_count_against_no_upstream(
    gateway_to: Forwarding, scripted: Scripted, messages: list[Message]
) -> None:
    scripted.answers = [b""]
    for _ in range(FAILURES_TO_OPEN):
        try:
            got = await gateway_to.post(messages, LENGTH_9, timeout_seconds=0.2)
        except MainstemError as error:
            assert error.status in {400, 408}  # noqa: PT017 -- one that leaves gets no error at all
        else:
            assert got.sent == []
    scripted.answers = [OK]
    assert not gateway_to.breaker.is_open
    assert (await gateway_to.get()).body == b"ok"


async def test_a_slow_body_does_not_shorten_the_upstreams_time(start_gateway: StartGateway) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"0\r\n\r\n")
        await asyncio.sleep(0.7)
        writer.write(OK)
        await reader.read()

    async with raw_server(behave) as url:
        gateway = await start_gateway(upstream_billing=url)
        # A second for either side: the body takes two thirds of its own, the answer of its own.
        got = await gateway.http.post("/brief/x", content=parts_of(b"a", b"b", b"c", pause=0.22))
    assert (got.status_code, got.text) == (200, "ok")


async def test_a_caller_that_reads_slowly_takes_nothing_of_the_upstreams_time() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n")
        for _ in range(4):
            writer.write(b"x" * 10)
            await asyncio.sleep(0.05)
        await reader.read()

    async with raw_server(behave) as url, forwarding(url) as gateway:
        got = await gateway.call(Caller([NO_BODY], send_seconds=0.3), timeout_seconds=0.4)
    assert (got.body, got.is_whole) == (b"x" * 40, True)


async def test_a_caller_that_reads_nothing_is_dropped() -> None:
    async def receive() -> Message:
        return NO_BODY if waits.is_set() else await wait()

    async def wait() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(_message: Message) -> None:
        await asyncio.Event().wait()

    waits = asyncio.Event()
    body = IncomingBody(receive, None, Holding(Budget(), ""), limit_bytes=10)
    with pytest.raises(ClientGoneError):
        async with asyncio.timeout(3), Watch(body, send, body_seconds=9.0, send_seconds=0.1) as watch:
            await watch.send({"type": "http.response.start"})


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_connections_that_end_before_the_answer_begins_count(
    gateway_to: Forwarding, scripted: Scripted, answer: bytes
) -> None:
    scripted.answers, scripted.is_closing = [answer], True
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(BadGatewayError):
            await gateway_to.post([part(b"x")])
    assert gateway_to.breaker.is_open


async def test_refused_connections_count(ports: Ports) -> None:
    async with forwarding(f"http://127.0.0.1:{ports.take()}") as gateway:
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(BadGatewayError):
                await gateway.post([part(b"1", more=True)], LENGTH_9)
        assert gateway.breaker.is_open


async def test_timeouts_after_a_whole_request_count(gateway_to: Forwarding, scripted: Scripted) -> None:
    scripted.answers = [b""]
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(GatewayTimeoutError):
            await gateway_to.call(Caller([NO_BODY]), timeout_seconds=0.1)
    assert gateway_to.breaker.is_open


async def test_an_upstream_that_ends_an_unfinished_upload_is_not_counted(
    gateway_to: Forwarding, scripted: Scripted
) -> None:
    scripted.answers, scripted.is_closing = [b""], True
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(BadGatewayError):
            await gateway_to.post([part(b"1", more=True)], LENGTH_9)
    assert not gateway_to.breaker.is_open


async def open_circuit(gateway: Gateway, scripted: Scripted) -> None:
    scripted.answers, scripted.is_closing = [b""], True
    for _ in range(FAILURES_TO_OPEN):
        assert (await gateway.http.post("/raw/x")).status_code == 502
    assert (await gateway.http.get("/raw/x")).status_code == 503
    scripted.answers, scripted.is_closing = [OK], False
    await asyncio.sleep(0.6)


@pytest.mark.parametrize("first", ["", "1"])
async def test_a_caller_who_sends_no_whole_body_uses_up_no_trial(
    start_gateway: StartGateway, scripted: Scripted, first: str
) -> None:
    async with raw_server(scripted) as url:
        gateway = await start_gateway(upstream_billing=url, circuit_seconds=0.5)
        await open_circuit(gateway, scripted)
        scripted.answers = [b""]
        text = f"POST /raw/x HTTP/1.1\nhost: a\ncontent-length: 9\n\n{first}"
        writers = [(await said_to(gateway, text))[1] for _ in range(3)]
        await asyncio.sleep(0.1)
        scripted.answers = [OK]
        assert (await gateway.http.get("/raw/x")).status_code == 200
        for writer in writers:
            await hang_up(writer)


async def test_a_caller_who_leaves_gives_the_trial_back(
    start_gateway: StartGateway, scripted: Scripted
) -> None:
    async with raw_server(scripted) as url:
        gateway = await start_gateway(upstream_billing=url, circuit_seconds=0.5)
        await open_circuit(gateway, scripted)
        before, scripted.answers = len(scripted.connections), [b""]
        _, writer = await said_to(gateway, "GET /raw/x HTTP/1.1\nhost: a\n\n")
        async with asyncio.timeout(3):
            while len(scripted.connections) == before:  # noqa: ASYNC110 -- another task's connection
                await asyncio.sleep(0.01)
            await hang_up(writer)
            await scripted.ended[before].wait()
        scripted.answers = [OK]
        assert (await gateway.http.get("/raw/x")).status_code == 200


async def test_gathered_bodies_of_one_address_have_a_share_of_the_budget_and_give_it_back() -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"x" * 60, "more_body": True}

    budget = Budget(400)
    holding = Holding(budget, "192.0.2.1")
    body = IncomingBody(receive, None, holding, limit_bytes=1_000)
    await body.begin()
    with pytest.raises(UnavailableError):
        await body.gather()
    assert budget.held_bytes == 60
    holding.release()
    assert budget.held_bytes == 0
