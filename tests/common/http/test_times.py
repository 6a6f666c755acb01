"""Every part of a request has its time, every address its share of connections."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import uvicorn
from guarded_app import LIMITS, Recorder
from raw_http import until
from serving import serving
from uvicorn.server import ServerState
from wire import Wire, wire_to

from mainstem.common.http.connections.guard import guarded
from mainstem.common.http.connections.limits import ConnectionLimiter, Limits, Trusted

REQUEST = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"


async def drip(wire: Wire, content: bytes) -> None:
    for number in range(len(content)):
        await wire.send(content[number : number + 1])
        await asyncio.sleep(0.05)


async def test_connection_without_a_request_is_closed(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        said = await wire.hear(quiet=3)
    assert (said.statuses, said.is_closed) == ([], True)


async def test_blank_lines_keep_no_connection_open(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(REQUEST)
        dripping = asyncio.create_task(drip(wire, b"\r\n" * 40))
        said = await wire.hear(quiet=3)
        dripping.cancel()
    assert (said.statuses, said.is_closed) == ([200], True)


async def test_dripping_head_is_answered_408_and_closed(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        dripping = asyncio.create_task(drip(wire, b"GET /a HTTP/1.1\r\nHost: a\r\nX: " + b"b" * 100))
        said = await wire.hear(quiet=3)
        dripping.cancel()
    assert (said.statuses, said.is_closed, app.received) == ([408], True, [])


async def test_body_that_stops_is_answered_408_and_its_app_sees_the_client_leave(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
        said = await wire.hear(b"POST", quiet=3)
    assert (said.statuses, said.is_closed) == ([408], True)
    assert app.received == [("POST", "/a", None)]


async def test_idle_connection_is_closed_after_its_answer(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(REQUEST)
        said = await wire.hear(quiet=3)
    assert (said.statuses, said.is_closed) == ([200], True)


async def test_request_that_is_being_answered_has_no_limit_of_the_connection(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(REQUEST.replace(b"/a", b"/held"))
        asyncio.get_running_loop().call_later(3 * LIMITS.idle_seconds, app.go_on.set)
        said = await wire.hear(quiet=3)
    assert said.statuses == [200]


async def test_address_with_too_many_connections_is_refused_and_others_are_served(app: Recorder) -> None:
    async with AsyncExitStack() as held:
        for _ in range(LIMITS.connections_per_address):
            await held.enter_async_context(wire_to(app.url))
        more = await held.enter_async_context(wire_to(app.url))
        assert (await more.hear(quiet=3)).statuses == [503]
        other = await held.enter_async_context(wire_to(app.url, "127.0.0.2"))
        await other.send(REQUEST)
        assert (await other.hear()).statuses == [200]


async def test_full_process_drops_an_idle_connection_for_a_new_one(app: Recorder) -> None:
    async with AsyncExitStack() as held:
        addresses = [f"127.0.0.{2 + number % 2}" for number in range(LIMITS.connections)]
        idle = [await held.enter_async_context(wire_to(app.url, address)) for address in addresses]
        new = await held.enter_async_context(wire_to(app.url, "127.0.0.9"))
        await new.send(REQUEST)
        assert (await new.hear(quiet=0.2)).statuses == [200]
        assert (await idle[0].hear(quiet=0.1)).is_closed


async def test_place_of_a_connection_is_free_again_when_it_ends(app: Recorder) -> None:
    for _ in range(3 * LIMITS.connections_per_address):
        async with wire_to(app.url) as wire:
            await wire.send(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert (await wire.hear(quiet=3)).statuses == [200]


async def test_endless_header_is_refused_at_its_bound() -> None:
    app = Recorder()
    async with serving(app, Limits()) as url, wire_to(url) as wire:
        await wire.send(b"GET /a HTTP/1.1\r\nHost: a\r\nX: ")
        for _ in range(1_000):
            await wire.send(b"b" * 10_000)
            if wire.reader.at_eof() or wire.writer.is_closing():
                break
        said = await wire.hear()
    assert said.statuses in ([431], [])
    assert said.is_closed


async def test_client_that_does_not_read_its_answer_is_cut_off(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(REQUEST.replace(b"/a", b"/large"))
        await until(lambda: ("sent", "/large", None) in app.received)
        await asyncio.sleep(3 * LIMITS.write_seconds)
        content = await wire.reader.read(-1)
    assert len(content) < 20_000_000


async def test_full_process_drops_a_connection_whose_body_does_not_come() -> None:
    app, limits = Recorder(), Limits(connections=4, connections_per_address=2)
    unfinished = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na"
    async with serving(app, limits) as url, AsyncExitStack() as held:
        for number in range(limits.connections):
            wire = await held.enter_async_context(wire_to(url, f"127.0.0.{2 + number % 2}"))
            await wire.send(unfinished)
        await asyncio.sleep(0.2)
        new = await held.enter_async_context(wire_to(url, "127.0.0.9"))
        await new.send(REQUEST)
        assert (await new.hear()).statuses == [200]


class FullTransport(asyncio.Transport):
    """A transport whose client reads nothing: a close waits for ever, as a real one does."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 6)})
        self.has_closed = False
        self.aborted = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it for ever."""

    def is_closing(self) -> bool:
        return self.has_closed

    def close(self) -> None:
        self.has_closed = True

    def abort(self) -> None:
        self.aborted.set()

    def resume_reading(self) -> None:
        """Read on."""


async def connection_of(app: Recorder) -> tuple[asyncio.Protocol, FullTransport]:
    protocol = guarded(LIMITS, ConnectionLimiter(LIMITS, Trusted(None)))
    config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_level="critical")
    config.load()
    made: Any = protocol
    connection, transport = made(config, ServerState(), {}), FullTransport()
    connection.connection_made(transport)
    return connection, transport


async def test_client_that_asked_to_close_and_reads_nothing_is_cut_off() -> None:
    connection, transport = await connection_of(Recorder())
    connection.data_received(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    async with asyncio.timeout(5):
        await transport.aborted.wait()
    assert transport.has_closed


async def test_client_that_ends_its_side_and_reads_nothing_is_cut_off() -> None:
    connection, transport = await connection_of(Recorder())
    connection.data_received(REQUEST)
    connection.eof_received()
    transport.close()  # as asyncio does
    async with asyncio.timeout(5):
        await transport.aborted.wait()


async def test_flush_of_what_is_left_unsets_no_limit_of_a_connection_that_closes() -> None:
    connection, transport = await connection_of(Recorder())
    await asyncio.sleep(0.75 * LIMITS.head_seconds)
    connection.pause_writing()
    await asyncio.sleep(0.5 * LIMITS.head_seconds)
    assert transport.has_closed
    connection.resume_writing()
    async with asyncio.timeout(5):
        await transport.aborted.wait()
