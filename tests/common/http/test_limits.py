"""Limits on requests: length and time of a body, time of a handler, and bytes that a process holds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from raw_http import exchange, hang_up, parts_of, read_head, until
from serving import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from structlog.testing import capture_logs

from mainstem.common.errors import UnavailableError
from mainstem.common.http.app import AppState, build_app
from mainstem.common.http.endpoint import Endpoint
from mainstem.common.http.requests.budget import Budget
from mainstem.common.http.requests.reading import parse_length

TOTAL = 8_000
SHARE = TOTAL // 4
SHORT = 0.3


def declare(method: str, path: str, **given: Any) -> Endpoint:
    return Endpoint(method, path, answers={200: "what was read"}, public=True, **given)


ECHO = declare("POST", "/echo")
HASTY = declare("POST", "/hasty", timeout=SHORT)
SLOW = declare("POST", "/slow", timeout=SHORT)
STUBBORN = declare("POST", "/stubborn", timeout=SHORT)
FAILING = declare("POST", "/failing")
LIST = declare("GET", "/list")
ENDPOINTS = (ECHO, HASTY, SLOW, STUBBORN, FAILING, LIST)


@ECHO.handler
@HASTY.handler
@LIST.handler
async def echo(request: Request) -> Response:
    return JSONResponse({"length": len(await request.body())})


@SLOW.handler
async def wait(_request: Request) -> Response:
    await asyncio.Event().wait()
    raise AssertionError


@STUBBORN.handler
async def wait_and_fail(request: Request) -> Response:
    try:
        return await wait(request)
    except asyncio.CancelledError:
        raise OSError("the connection was closed") from None


@FAILING.handler
async def fail(_request: Request) -> Response:
    raise TimeoutError("of a statement")


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[AppState]:
    yield {"identity": None, "checks": {}}


@pytest.fixture
def budget() -> Budget:
    return Budget(TOTAL)


@pytest.fixture
async def url(budget: Budget) -> AsyncIterator[str]:
    async with serving(build_app("test", endpoints=ENDPOINTS, lifespan=lifespan, budget=budget)) as url:
        yield url


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url) as client:
        yield client


@asynccontextmanager
async def unfinished(
    url: str, size: int, path: str = "/echo", address: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Send all of a body but its last byte, from an address of loopback."""
    port = httpx.URL(url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size + 1}\r\n\r\n"
    writer.write(head.encode() + b"x" * size)
    try:
        yield reader, writer
    finally:
        await hang_up(writer)


@pytest.mark.parametrize("given", ["9" * 5_000, "0" * 5_000, "-1", "+1", "1_0", "1,1", "", "\u0661", "1e3"])
def test_a_length_that_is_no_number_of_bytes_is_a_bad_request(given: str) -> None:
    with pytest.raises(Exception, match="Content-Length") as raised:
        parse_length(given)
    assert raised.value.status == 400  # type: ignore[attr-defined]  # every error of ours has one


async def call(app: Starlette, headers: list[tuple[bytes, bytes]], path: str = "/echo") -> int:
    """Call an app with headers that no server would pass on; return the status."""
    found: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        found.append(message.get("status", 0))

    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "state": {"identity": None, "checks": {}},
    }
    await app(scope, receive, send)
    return found[0]


async def test_a_length_of_five_thousand_digits_is_no_failure_of_ours() -> None:
    app = build_app("test", endpoints=ENDPOINTS, lifespan=lifespan)
    assert await call(app, [(b"content-length", b"9" * 5_000)]) == 400
    assert await call(app, [(b"content-length", "\u00b2".encode("latin-1"))]) == 400
    assert await call(app, [(b"content-length", b"9" * 18)]) == 413


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_small_body_where_there_should_be_none_is_discarded(
    http: httpx.AsyncClient, method: str
) -> None:
    answer = await http.request(method, "/list", content=b"x" * 1024)
    assert answer.status_code == 200
    assert method == "HEAD" or answer.json() == {"length": 0}


@pytest.mark.parametrize("is_declared", [True, False])
async def test_a_large_body_where_there_should_be_none_is_413(
    http: httpx.AsyncClient, is_declared: bool
) -> None:
    content = b"x" * 1025 if is_declared else parts_of(b"x" * 1000, b"x" * 25)
    answer = await http.request("GET", "/list", content=content)
    assert (answer.status_code, "takes no body" in answer.json()["detail"]) == (413, True)


async def test_a_body_that_does_not_arrive_in_time_is_408_and_ends_its_connection(url: str) -> None:
    async with unfinished(url, 100, "/hasty") as (reader, _):
        status, headers = await read_head(reader)
        assert (status, headers["connection"]) == (408, "close")
        await reader.read()
        assert reader.at_eof()


@pytest.mark.parametrize("path", ["/slow", "/stubborn"])
async def test_a_handler_that_does_not_answer_in_time_is_503_logged_and_counted(
    http: httpx.AsyncClient, path: str
) -> None:
    with capture_logs() as logged:
        answer = await http.post(path)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert {"event": "handler.cancelled", "log_level": "warning", "route": path, "seconds": SHORT} in logged


async def test_a_timeout_of_the_handlers_own_is_not_taken_for_the_endpoints(http: httpx.AsyncClient) -> None:
    with capture_logs() as logged:
        answer = await http.post("/failing")
    assert "database.request_failed" in {event["event"] for event in logged}
    assert answer.status_code == 503
    assert "handler.cancelled" not in {event["event"] for event in logged}


async def test_one_address_holds_a_quarter_of_the_budget_and_leaves_the_rest_to_others(
    url: str, budget: Budget, http: httpx.AsyncClient
) -> None:
    async with unfinished(url, SHARE - 10):
        await until(lambda: budget.held_bytes == SHARE - 10)
        refused = await http.post("/echo", content=b"x" * 11)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert (await http.post("/echo", content=b"x" * 10)).json() == {"length": 10}
        async with unfinished(url, SHARE - 10, address="127.0.0.2") as (reader, writer):
            writer.write(b"x")
            assert (await read_head(reader))[0] == 200
    await until(lambda: budget.held_bytes == 0)


async def test_all_addresses_together_hold_no_more_than_the_budget(url: str, budget: Budget) -> None:
    async with AsyncExitStack() as stack:
        for number in range(2, 6):
            await stack.enter_async_context(unfinished(url, SHARE, address=f"127.0.0.{number}"))
        await until(lambda: budget.held_bytes == TOTAL)
        reader, _ = await stack.enter_async_context(unfinished(url, 100, address="127.0.0.9"))
        assert (await read_head(reader))[0] == 503
    await until(lambda: budget.held_bytes == 0)


async def test_the_budget_is_whole_again_however_requests_end(
    url: str, budget: Budget, http: httpx.AsyncClient
) -> None:
    size = SHARE - 100
    assert (await http.post("/echo", content=b"x" * size)).status_code == 200
    assert (await http.post("/failing", content=b"x" * size)).status_code == 503
    assert (await http.post("/slow", content=b"x" * size)).status_code == 503
    assert (await http.post("/echo", content=parts_of(b"x" * size, b"x" * size))).status_code == 503
    assert (await exchange(url, b"POST /echo HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200
    async with unfinished(url, size, "/hasty") as (reader, _):
        assert (await read_head(reader))[0] == 408
    async with unfinished(url, size):
        await until(lambda: budget.held_bytes == size)
    await until(lambda: budget.held_bytes == 0)
    budget.take("anybody", SHARE)


def test_a_refused_part_is_not_counted() -> None:
    budget = Budget(TOTAL)
    budget.take("a", SHARE)
    with pytest.raises(UnavailableError):
        budget.take("a", 1)
    budget.release("a", SHARE)
    assert budget.held_bytes == 0
