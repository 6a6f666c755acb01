"""Generated connections: the upstream receives exactly the requests that the gateway understood."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, seed, settings
from properties import examples
from rotation import rotation
from tests.attacks.case import PATIENCE_SECONDS
from tests.attacks.comparison import Bench
from tests.attacks.grammar import Attempt, attempts
from tests.attacks.recorder import LATIN
from tests.attacks.stage import plainly
from tests.attacks.wire import connect, fetch

EXAMPLES = 60


@pytest.mark.alone
@pytest.mark.slow
@seed(rotation())
@settings(
    max_examples=examples(EXAMPLES),
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(attempt=attempts())
async def test_upstream_receives_each_request_as_the_gateway_understood_it(
    bench: Bench, attempt: Attempt
) -> None:
    assert await bench.attempt(attempt) == []


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("value", [b"caf\xe9", b"caf\xc3\xa9", bytes(range(0x80, 0x100))])
async def test_header_bytes_reach_the_upstream_as_they_came(bench: Bench, value: bytes) -> None:
    bench.recorder.forget()
    await fetch(bench.address, plainly("GET", b"/open/x", b"X-Name: " + value))
    assert [arrival.values(b"x-name") for arrival in bench.recorder.arrivals] == [[value]]


@pytest.mark.alone
@pytest.mark.slow
async def test_header_bytes_of_an_answer_reach_the_caller_as_they_came(bench: Bench) -> None:
    outcome = await fetch(bench.address, plainly("GET", b"/open/latin"))
    assert [value for key, value in outcome.answers[0].headers if key == b"x-name"] == [LATIN]


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
async def test_unfinished_bodies_on_a_hasty_route_do_not_open_the_circuit(
    bench: Bench, framing: bytes
) -> None:
    wires = await asyncio.gather(*(connect(bench.address) for _ in range(10)))
    for wire in wires:
        await wire.send(
            [b"POST /hasty/x HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n5\r\nhello\r\n"], patience=1
        )
    await asyncio.gather(*(wire.until_answers(1, patience=PATIENCE_SECONDS) for wire in wires))
    statuses = {status for wire in wires for status in wire.outcome().statuses}
    await asyncio.gather(*(wire.close() for wire in wires))
    outcome = await fetch(bench.address, plainly("GET", b"/open/x"))
    assert outcome.statuses == [200]
    assert statuses <= {400, 408}
