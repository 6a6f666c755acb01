import asyncio
import time

import httpx
import pytest
from raw_http import raw_server
from starlette.types import Receive, Send
from tiny_gateway import Gateway, StartGateway, Upstream


async def test_an_upstream_that_is_away_is_502_and_nothing_of_it_shows(gateway: Gateway) -> None:
    answer = await gateway.http.get("/nowhere")
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/problem+json"
    assert "127.0.0.1" not in answer.text
    assert "connect" not in answer.text.lower()


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n"])
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
