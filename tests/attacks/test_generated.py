"""Generated connections: the upstream receives exactly the requests that the gateway understood."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from tests.attacks.comparison import Bench, open_bench
from tests.attacks.conftest import rotation
from tests.attacks.grammar import Attempt, attempts
from tests.attacks.recorder import LATIN
from tests.attacks.stage import Stage, plainly
from tests.attacks.wire import fetch

EXAMPLES = 60


@pytest.fixture(scope="session")
async def bench(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """One spied gateway for all attempts."""
    folder: Path = tmp_path_factory.mktemp("bench")
    async with open_bench(stage, folder) as bench:
        yield bench


@pytest.mark.slow
@seed(rotation())
@settings(
    max_examples=EXAMPLES,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(attempt=attempts())
async def test_upstream_receives_each_request_as_the_gateway_understood_it(
    bench: Bench, attempt: Attempt
) -> None:
    assert await bench.attempt(attempt) == []


@pytest.mark.slow
@pytest.mark.parametrize("value", [b"caf\xe9", b"caf\xc3\xa9", bytes(range(0x80, 0x100))])
async def test_header_bytes_reach_the_upstream_as_they_came(bench: Bench, value: bytes) -> None:
    bench.recorder.forget()
    await fetch(bench.address, plainly("GET", b"/open/x", b"X-Name: " + value))
    assert [arrival.values(b"x-name") for arrival in bench.recorder.arrivals] == [[value]]


@pytest.mark.slow
async def test_header_bytes_of_an_answer_reach_the_caller_as_they_came(bench: Bench) -> None:
    outcome = await fetch(bench.address, plainly("GET", b"/open/latin"))
    assert [value for key, value in outcome.answers[0].headers if key == b"x-name"] == [LATIN]
