import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from serving import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mainstem.common.http.calls.breaker import FAILURES_TO_OPEN, Breaker, CircuitOpenError
from mainstem.common.http.calls.client import Client, open_client
from mainstem.common.http.calls.upstream import NoAnswerError, NotReachedError, UpstreamResponse
from mainstem.sandbox.servers.ports import Ports

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Outside:
    """A service that answers what it is told to, and counts."""

    def __init__(self) -> None:
        self.status = 200
        self.seconds = 0.0
        self.then: int | None = None
        self.requests = 0
        self.asked = asyncio.Event()
        self.app = Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST"])])

    async def answer(self, _request: Request) -> Response:
        self.requests += 1
        self.asked.set()
        await asyncio.sleep(self.seconds)
        status, self.status = self.status, self.then or self.status
        return Response(str(self.requests), status)


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
async def url(outside: Outside) -> AsyncIterator[str]:
    async with serving(outside.app) as url:
        yield url


@asynccontextmanager
async def quick_client(url: str, breaker: Breaker) -> AsyncIterator[Client]:
    async with open_client("outside", base_url=url, timeout_seconds=0.5, breaker=breaker) as client:
        yield client


@pytest.mark.parametrize("status", [200, 400, 404, 409, 422])
async def test_an_answer_is_asked_for_once(outside: Outside, url: str, status: int) -> None:
    outside.status = status
    async with open_client("outside", base_url=url) as client:
        assert (await client.request("GET", "/", attempts=3)).status == status
    assert outside.requests == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_retries_end_after_the_attempts_given_with_the_last_answer(
    outside: Outside, url: str, status: int
) -> None:
    outside.status = status
    async with open_client("outside", base_url=url) as client:
        response = await client.request("GET", "/", attempts=2)
    assert (response.status, response.content) == (status, b"2")
    assert outside.requests == 2


async def test_nothing_is_repeated_unless_asked_for(outside: Outside, url: str) -> None:
    outside.status = 503
    async with open_client("outside", base_url=url) as client:
        assert (await client.request("POST", "/")).status == 503
    assert outside.requests == 1


async def test_a_retry_that_succeeds_is_the_answer(outside: Outside, url: str) -> None:
    outside.status, outside.then = 503, 200
    async with open_client("outside", base_url=url) as client:
        assert (await client.request("GET", "/", attempts=3)).status == 200
    assert outside.requests == 2


async def test_a_request_without_an_answer_is_repeated_when_that_was_asked_for(
    outside: Outside, url: str
) -> None:
    outside.seconds = 5.0
    breaker = Breaker("outside")
    async with quick_client(url, breaker) as client:
        asking = asyncio.create_task(client.request("GET", "/", attempts=3))
        await outside.asked.wait()
        outside.seconds = 0.0
        assert (await asking).content == b"2"


@pytest.mark.parametrize("attempts", [1, 2])
async def test_a_service_that_is_not_there_was_not_reached(ports: Ports, attempts: int) -> None:
    async with open_client("outside", base_url=f"http://127.0.0.1:{ports.take()}") as client:
        with pytest.raises(NotReachedError):
            await client.request("GET", "/", attempts=attempts)


async def lose(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take a request and close the connection instead of answering."""
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def cut_short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take a request and close the connection within the answer."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("answer", [lose, cut_short])
async def test_a_connection_lost_under_a_request_leaves_it_unknown(answer: Answering, ports: Ports) -> None:
    port = ports.take()
    async with (
        await asyncio.start_server(answer, "127.0.0.1", port),
        open_client("outside", base_url=f"http://127.0.0.1:{port}") as client,
    ):
        with pytest.raises(NoAnswerError) as caught:
            await client.request("POST", "/", form={"a": "b"})
    assert not isinstance(caught.value, NotReachedError)


async def test_the_time_limit_holds(outside: Outside, url: str) -> None:
    outside.seconds = 5.0
    started_at = time.monotonic()
    async with open_client("outside", base_url=url, timeout_seconds=0.2) as client:
        with pytest.raises(NoAnswerError) as caught:
            await client.request("GET", "/")
    # It was reached, and may have acted.
    assert not isinstance(caught.value, NotReachedError)
    assert time.monotonic() - started_at < 2.0


async def test_the_circuit_opens_after_failures_in_a_row_and_spares_the_service(
    outside: Outside, url: str
) -> None:
    outside.status = 500
    async with open_client("outside", base_url=url) as client:
        for _ in range(FAILURES_TO_OPEN):
            await client.request("GET", "/")
        for _ in range(5):
            with pytest.raises(CircuitOpenError) as caught:
                await client.request("GET", "/", attempts=3)
    assert outside.requests == FAILURES_TO_OPEN
    assert int(caught.value.status) == 503
    assert 1 <= int(caught.value.headers["Retry-After"]) <= 10
    assert "outside" in caught.value.detail


async def test_a_success_between_failures_keeps_the_circuit_closed(outside: Outside, url: str) -> None:
    async with quick_client(url, Breaker("outside", failures_to_open=2)) as client:
        for status in (500, 404, 500, 200, 500, 429, 500):
            outside.status = status
            assert (await client.request("GET", "/")).status == status


async def test_an_open_circuit_lets_one_trial_through_and_closes_when_that_succeeds(
    outside: Outside, url: str
) -> None:
    outside.status = 500
    async with quick_client(url, Breaker("outside", failures_to_open=1, open_seconds=0.2)) as client:
        await client.request("GET", "/")
        await asyncio.sleep(0.25)
        outside.status, outside.seconds = 200, 0.1
        results = await asyncio.gather(
            *(client.request("GET", "/") for _ in range(5)), return_exceptions=True
        )
        assert sum(isinstance(result, UpstreamResponse) for result in results) == 1
        assert sum(isinstance(result, CircuitOpenError) for result in results) == 4
        assert outside.requests == 2
        await asyncio.gather(*(client.request("GET", "/") for _ in range(5)))
        assert outside.requests == 7


async def test_a_trial_that_fails_opens_the_circuit_again(outside: Outside, url: str) -> None:
    outside.status = 500
    async with quick_client(url, Breaker("outside", failures_to_open=1, open_seconds=0.2)) as client:
        await client.request("GET", "/")
        await asyncio.sleep(0.25)
        assert (await client.request("GET", "/")).status == 500
        with pytest.raises(CircuitOpenError):
            await client.request("GET", "/")
    assert outside.requests == 2


async def test_an_answer_that_was_long_on_its_way_does_not_put_the_next_trial_off() -> None:
    breaker = Breaker("outside", failures_to_open=1, open_seconds=0.2)
    breaker.record(ok=False)
    await asyncio.sleep(0.15)
    breaker.record(ok=False)
    with pytest.raises(CircuitOpenError):
        breaker.check()
    await asyncio.sleep(0.1)
    breaker.check()


@pytest.mark.slow
@pytest.mark.parametrize("service", ["ingest", "sync", "billing", "gateway"])
def test_http_process_that_sent_no_request_has_loaded_no_client(service: str) -> None:
    program = f"import sys, mainstem.{service}.app\nprint('pyreqwest' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"
