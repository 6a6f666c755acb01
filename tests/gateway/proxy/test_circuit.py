import asyncio
import re

import httpx
import pytest
from starlette.types import Receive, Send
from structlog.testing import capture_logs
from tiny_gateway import Gateway, StartGateway, Upstream, answer

from mainstem.common.http.calls.breaker import FAILURES_TO_OPEN
from mainstem.sandbox.servers.ports import Ports


@pytest.fixture
async def hasty(start_gateway: StartGateway) -> Gateway:
    """A gateway that tries an upstream again after half a second."""
    return await start_gateway(circuit_seconds=0.5)


async def statuses(gateway: Gateway, path: str, times: int) -> list[int]:
    return [(await gateway.http.get(path)).status_code for _ in range(times)]


async def open_circuits(gateway: Gateway) -> int:
    """Return how many circuits to billing are open in this process, by its metric."""
    metrics = (await gateway.http.get("/metrics")).text
    return sum(
        int(count) for count in re.findall(r'mainstem_circuits_open\{.*outside="billing".*\} (\d+)', metrics)
    )


async def test_an_upstream_that_is_away_is_left_alone_and_callers_learn_when_to_come_again(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway()
    before = await open_circuits(gateway)
    with capture_logs() as logged:
        assert await statuses(gateway, "/nowhere", FAILURES_TO_OPEN) == [502] * FAILURES_TO_OPEN
        refused = await gateway.http.get("/nowhere")
    assert refused.status_code == 503
    assert refused.headers["content-type"] == "application/problem+json"
    assert 9 <= int(refused.headers["retry-after"]) <= 10
    assert refused.json()["detail"] == "billing is not answering"
    assert [one["event"] for one in logged if one["event"].startswith("circuit.")] == ["circuit.opened"]
    assert await open_circuits(gateway) == before + 1


async def test_one_upstream_that_is_away_closes_no_other(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    await statuses(gateway, "/nowhere", FAILURES_TO_OPEN)
    assert await statuses(gateway, "/nowhere", 1) == [503]
    assert await statuses(gateway, "/open/door", 1) == [200]


async def test_timeouts_open_the_circuit_and_one_trial_that_is_answered_closes_it(
    hasty: Gateway, upstream: Upstream
) -> None:
    async def wait(receive: Receive, _send: Send) -> None:
        await receive()

    upstream.answers["slow"] = wait
    timeouts = await asyncio.gather(*(hasty.http.get("/hasty/slow") for _ in range(FAILURES_TO_OPEN)))
    assert {one.status_code for one in timeouts} == {504}
    with capture_logs() as logged:
        assert await statuses(hasty, "/open/door", 2) == [503, 503]
        await asyncio.sleep(0.6)
        # The one trial is still out while the others ask.
        trial = asyncio.create_task(hasty.http.get("/hasty/slow"))
        await asyncio.sleep(0.1)
        assert await statuses(hasty, "/open/door", 2) == [503, 503]
        assert (await trial).status_code == 504
        await asyncio.sleep(0.6)
        assert await statuses(hasty, "/open/door", 3) == [200] * 3
    assert [one["event"] for one in logged if one["event"].startswith("circuit.")] == ["circuit.closed"]


async def test_what_an_upstream_says_itself_is_passed_on_and_opens_nothing(
    hasty: Gateway, upstream: Upstream
) -> None:
    async def fail(_receive: Receive, send: Send) -> None:
        await answer(send, 503, b"later", [(b"retry-after", b"7")])

    upstream.answers["broken"] = fail
    for _ in range(FAILURES_TO_OPEN + 1):
        got = await hasty.http.get("/open/broken")
        assert (got.status_code, got.text, got.headers["retry-after"]) == (503, "later", "7")
    assert await statuses(hasty, "/open/door", 1) == [200]


async def test_callers_who_send_too_slowly_or_too_much_open_nothing(hasty: Gateway) -> None:
    async def slowly(number: int) -> bytes:
        port = httpx.URL(hasty.url).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /hasty/door HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n" + b"x" * number)
        status = await reader.readline()
        writer.close()
        return status

    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(slowly(number % 2) for number in range(2 * FAILURES_TO_OPEN)))
    assert all(b" 408 " in one for one in answers)
    assert {(await hasty.http.post("/small", content=b"x" * 2_000)).status_code for _ in range(6)} == {413}
    assert await statuses(hasty, "/open/door", 1) == [200]


async def test_who_may_not_call_learns_that_first(start_gateway: StartGateway, ports: Ports) -> None:
    gateway = await start_gateway(upstream_sync=f"http://127.0.0.1:{ports.take()}")
    await statuses(gateway, "/open/door", FAILURES_TO_OPEN)
    assert await statuses(gateway, "/open/door", 1) == [503]
    assert await statuses(gateway, "/ctms/1", 1) == [401]
