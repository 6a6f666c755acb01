"""A request that only reads ends with its client; one that writes goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from raw_http import until
from serving import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from structlog.testing import capture_logs
from wire import wire_to

from mainstem.common.http.app import AppState, build_app
from mainstem.common.http.endpoint import Endpoint

READ = Endpoint("GET", "/waits", answers={200: "in the end"}, public=True)
WRITE = Endpoint("POST", "/waits", answers={200: "in the end"}, public=True)
went_on = asyncio.Event()
events: list[str] = []


@READ.handler
@WRITE.handler
async def wait(request: Request) -> Response:
    events.append(f"{request.method} began")
    try:
        await went_on.wait()
    except asyncio.CancelledError:
        events.append(f"{request.method} cancelled")
        raise
    events.append(f"{request.method} ended")
    return Response("done")


@pytest.fixture
async def url() -> AsyncIterator[str]:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[AppState]:
        yield {"identity": None, "checks": {}}

    events.clear()
    went_on.clear()
    async with serving(build_app("test", endpoints=(READ, WRITE), lifespan=lifespan)) as url:
        yield url


async def test_handler_of_a_read_is_cancelled_when_its_client_leaves(url: str) -> None:
    with capture_logs() as logged:
        async with wire_to(url) as wire:
            await wire.send(b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: events == ["GET began"])
        await until(lambda: events == ["GET began", "GET cancelled"])
    assert [line for line in logged if line["log_level"] == "error"] == []


async def test_handler_of_a_write_goes_on_when_its_client_leaves(url: str) -> None:
    async with wire_to(url) as wire:
        await wire.send(b"POST /waits HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        await until(lambda: events == ["POST began"])
    await asyncio.sleep(0.2)
    went_on.set()
    await until(lambda: events == ["POST began", "POST ended"])


async def test_slow_read_is_answered_to_a_client_that_stays(url: str) -> None:
    async with wire_to(url) as wire:
        await wire.send(b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n")
        asyncio.get_running_loop().call_later(0.2, went_on.set)
        assert (await wire.hear()).answers == [(200, b"done")]
