"""Attacks on time, memory and connections: they are ended, and other callers are served meanwhile."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from tests.attacks.case import PATIENCE_SECONDS, Door, request
from tests.attacks.cases.framing import length
from tests.attacks.stage import Stage, rss_of
from tests.attacks.wire import Wire, connect

BEHIND = ("gateway-ingest", "gateway-sync", "gateway-billing")
DOORS = ("gateway", "ingest", "sync", "billing")
MIB = 1024 * 1024
HEADERS_BYTES = 482 * MIB
GROWTH_BYTES = 30 * MIB
SOCKETS = 50
CROWD = 3_000
DRIP_SECONDS = 0.2

DEAF, PIPELINED = 10, 2_000

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.rotating]


@asynccontextmanager
async def connected(door: Door, count: int, *, source: str | None = None) -> AsyncIterator[list[Wire]]:
    """Hold so many connections to a door, as far as it takes them."""
    wires: list[Wire] = []
    try:
        while len(wires) < count:
            wires += await asyncio.gather(
                *(connect(door.address, source=source) for _ in range(min(50, count - len(wires))))
            )
        yield wires
    finally:
        await asyncio.gather(*(wire.close() for wire in wires))


async def still_open(wires: list[Wire]) -> int:
    """Return how many connections the server leaves open for longer than its limits."""
    closed = await asyncio.gather(*(wire.until_closed(patience=PATIENCE_SECONDS) for wire in wires))
    return closed.count(False)


Attack = Callable[[Door, Wire], Awaitable[None]]


async def left_open(stage: Stage, names: Sequence[str], act: Attack) -> dict[str, int]:
    """Attack doors by many connections at once; return how many of them stay open where any does."""

    async def at(door: Door) -> int:
        async with connected(door, SOCKETS) as wires:
            await asyncio.gather(*(act(door, wire) for wire in wires))
            return await still_open(wires)

    counts = await asyncio.gather(*(at(stage.doors[name]) for name in names))
    return {name: count for name, count in zip(names, counts, strict=True) if count}


async def say_nothing(door: Door, wire: Wire) -> None:
    """Leave a new connection as it is."""


async def ask_once(door: Door, wire: Wire) -> None:
    """Leave a connection after its first answer."""
    await wire.send(door.fill([request("GET")]), patience=PATIENCE_SECONDS)
    assert await wire.until_answers(1, patience=PATIENCE_SECONDS)


async def drip(door: Door, wire: Wire) -> None:
    """Send a head byte by byte, for longer than any limit."""
    until = time.monotonic() + PATIENCE_SECONDS
    (head,) = door.fill([request("GET", b"X-Drip: " + b"a" * 1_000)])
    assert isinstance(head, bytes)
    for byte in head:
        await wire.send([bytes([byte]), DRIP_SECONDS], patience=PATIENCE_SECONDS)
        if wire.is_closed or time.monotonic() > until:
            return


async def stop_halfway(door: Door, wire: Wire) -> None:
    """Send half a body."""
    await wire.send(door.fill([request("POST", length(100), body=b"half")]), patience=PATIENCE_SECONDS)


async def drip_body(door: Door, wire: Wire) -> None:
    """Send a body byte by byte, for longer than any limit."""
    until = time.monotonic() + PATIENCE_SECONDS
    await stop_halfway(door, wire)
    while not wire.is_closed and time.monotonic() < until:
        await wire.send([b"x", DRIP_SECONDS], patience=PATIENCE_SECONDS)


@pytest.mark.parametrize("act", [say_nothing, ask_once, drip])
async def test_connections_without_a_whole_request_are_closed(stage: Stage, act: Attack) -> None:
    assert await left_open(stage, DOORS, act) == {}
    assert await stage.harm() == []


@pytest.mark.parametrize("act", [stop_halfway, drip_body])
async def test_half_bodies_are_closed_and_do_not_open_the_circuit(stage: Stage, act: Attack) -> None:
    assert await left_open(stage, (*DOORS, *BEHIND), act) == {}
    assert await stage.harm() == []


@pytest.mark.parametrize("name", BEHIND)
async def test_abandoned_bodies_do_not_open_the_circuit(stage: Stage, name: str) -> None:
    door = stage.doors[name]
    async with connected(door, 10) as wires:
        for wire in wires:
            await wire.send(
                door.fill([request("POST", length(100), body=b"half")]), patience=PATIENCE_SECONDS
            )
        await asyncio.sleep(0.1)
    assert await stage.harm(name) == []


@pytest.mark.parametrize("name", BEHIND)
@pytest.mark.parametrize("query", [b'"' * 25_000, b'"' * 7_000, b"a" * 65_495, b"%" * 5_000], ids=len)
async def test_strange_queries_do_not_open_the_circuit(stage: Stage, name: str, query: bytes) -> None:
    door = stage.doors[name]
    method = "POST" if name == "gateway-ingest" else "GET"
    target = door.post + b"?x=" if method == "POST" else door.get + b"&x="
    async with connected(door, 10) as wires:
        for wire in wires:
            await wire.send(door.fill([request(method, target=target + query)]), patience=PATIENCE_SECONDS)
            await wire.until_answers(1, patience=PATIENCE_SECONDS)
        statuses = {status for wire in wires for status in wire.outcome().statuses}
    assert await stage.harm(name) == []
    assert [status for status in statuses if status >= 500] == []


async def test_callers_that_never_read_are_closed_and_hold_no_memory(stage: Stage) -> None:
    before = rss_of(stage.pids["gateway"])
    doors = [stage.doors[name] for name in ("gateway", "gateway-billing") for _ in range(DEAF)]
    sockets = await asyncio.gather(*(send_deaf(door) for door in doors))
    try:
        harm = await stage.harm()
        grown = rss_of(stage.pids["gateway"]) - before
        closed = await asyncio.gather(*(has_ended(one) for one in sockets))
    finally:
        for one in sockets:
            one.close()
    assert harm == []
    assert grown < GROWTH_BYTES
    assert closed.count(False) == 0


async def send_deaf(door: Door) -> socket.socket:
    """Send many requests, read no answer, and wait for longer than any limit."""
    loop = asyncio.get_running_loop()
    one = socket.socket()
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    await loop.sock_connect(one, door.address)
    (content,) = door.fill([request("GET")])
    assert isinstance(content, bytes)
    until = loop.time() + PATIENCE_SECONDS
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            # Bounded: a server without any limit keeps kilobytes for each of these requests.
            await loop.sock_sendall(one, content * PIPELINED)
    await asyncio.sleep(until - loop.time())
    return one


async def has_ended(one: socket.socket) -> bool:
    """Read all there is; return whether the server has closed the connection."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(1):
            while await loop.sock_recv(one, 1_000_000):
                pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("name", DOORS)
async def test_head_without_an_end_is_closed_early_and_holds_no_memory(stage: Stage, name: str) -> None:
    door = stage.doors[name]
    before, sent = rss_of(stage.pids[name]), 0
    line = b"X: " + b"a" * 65_000 + b"\r\n"
    async with connected(door, 1) as (wire,):
        await wire.send([b"GET / HTTP/1.1\r\nHost: x\r\n"], patience=PATIENCE_SECONDS)
        while not wire.is_closed and sent < HEADERS_BYTES:
            await wire.send([line], patience=PATIENCE_SECONDS)
            sent += len(line)
        grown = rss_of(stage.pids[name]) - before
    assert await stage.harm(name) == []
    assert grown < GROWTH_BYTES
    assert sent < 20 * MIB


@pytest.mark.parametrize("name", ["gateway", "ingest"])
async def test_crowd_from_one_address_is_refused_and_others_are_served_meanwhile(
    stage: Stage, name: str
) -> None:
    door = stage.doors[name]
    async with connected(door, CROWD, source="127.0.0.2") as wires:
        harm = await stage.harm()
        refused = sum(wire.is_closed for wire in wires)
        left = await still_open(wires)
    assert harm == []
    assert refused >= CROWD - 1_000
    assert left == 0
