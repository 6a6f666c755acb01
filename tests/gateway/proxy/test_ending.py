import asyncio
import signal
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from gateway_process import served
from servers import Database
from starlette.types import Receive, Send
from tiny_gateway import Upstream, answer

from mainstem.sandbox.servers.ports import Ports

pytestmark = [pytest.mark.slow, pytest.mark.alone]

ROUTES = """
[[routes]]
methods = ["GET"]
path = "/open/{what}"
upstream = "sync"
public = true
"""


@dataclass
class Held:
    """A request that the upstream answers when it is let go."""

    has_come: asyncio.Event
    go_on: asyncio.Event


@dataclass
class Served:
    """The gateway's process, and who calls it."""

    process: Process
    http: httpx.AsyncClient

    async def refuses(self) -> bool:
        """Whether nobody is let in any more; who comes just as the door shuts has it shut in the face."""
        try:
            await self.http.get("/__lbheartbeat__")
        except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
            return True
        return False


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def held(upstream: Upstream) -> Held:
    held = Held(asyncio.Event(), asyncio.Event())

    async def wait(_receive: Receive, send: Send) -> None:
        held.has_come.set()
        await held.go_on.wait()
        await answer(send, 200, b"whole")

    upstream.answers["held"] = wait
    return held


@pytest.fixture
def serve(database: Database, upstream: Upstream, ports: Ports, tmp_path: Path) -> Serve:
    (routes_file := tmp_path / "routes.toml").write_text(ROUTES)

    @asynccontextmanager
    async def serve(**told: str) -> AsyncIterator[Served]:
        environment = {
            "DATABASE_URL": database.urls["gateway"],
            "MAINSTEM_UPSTREAM_SYNC": upstream.url,
            "MAINSTEM_ROUTES_FILE": str(routes_file),
            **told,
        }
        async with served(environment, ports.take()) as (process, http):
            yield Served(process, http)

    return serve


async def test_a_gateway_that_is_told_to_end_says_so_serves_on_and_finishes_what_is_under_way(
    serve: Serve, held: Held
) -> None:
    async with serve(MAINSTEM_DRAIN_SECONDS="1.5") as gateway:
        under_way = asyncio.create_task(gateway.http.get("/open/held"))
        await held.has_come.wait()
        gateway.process.send_signal(signal.SIGTERM)
        told_at = time.monotonic()
        await asyncio.sleep(0.3)
        readiness = await gateway.http.get("/__heartbeat__")
        new = await gateway.http.get("/open/door")
        assert (readiness.status_code, readiness.json()["serving"]["up"]) == (503, False)
        assert (await gateway.http.get("/__lbheartbeat__")).status_code == 200
        assert (new.status_code, new.headers["connection"]) == (200, "close")
        while not await gateway.refuses():  # noqa: ASYNC110 -- another process ends
            await asyncio.sleep(0.1)
        assert time.monotonic() - told_at >= 1.4
        held.go_on.set()
        assert (await under_way).text == "whole"
        async with asyncio.timeout(5):
            assert await gateway.process.wait() == -signal.SIGTERM


async def test_what_does_not_end_is_cut_off_after_its_bound(serve: Serve, held: Held) -> None:
    async with serve(MAINSTEM_STOP_SECONDS="1") as gateway:
        under_way = asyncio.create_task(gateway.http.get("/open/held"))
        await held.has_come.wait()
        gateway.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            assert (await under_way).status_code == 500
            await gateway.process.wait()
        held.go_on.set()


async def test_told_twice_a_gateway_waits_no_longer(serve: Serve) -> None:
    async with serve(MAINSTEM_DRAIN_SECONDS="60") as gateway:
        for _ in range(2):
            gateway.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
        async with asyncio.timeout(5):
            await gateway.process.wait()
