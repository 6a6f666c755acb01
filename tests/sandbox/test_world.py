import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from acoustic_calls import ACCOUNT
from almanac import Almanac
from servers import Database
from serving import serving

from mainstem.common.settings import SettingsError
from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.clock import MovableClock
from mainstem.sandbox.settled import Pipeline
from mainstem.sandbox.standin import StandIn
from mainstem.sandbox.world import World, require_loopback

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "sandbox.md"


@dataclass(frozen=True)
class Example:
    """One `curl` of the reference."""

    method: str
    path: str
    body: str | None


def _example(line: str) -> Example:
    words = shlex.split(line.replace("$SANDBOX", ""))[1:]
    options = dict(pairwise(words))
    path = next(word for word in words if word.startswith("/"))
    return Example(options.get("-X", "GET"), path, options.get("-d"))


def _examples() -> list[Example]:
    return [_example(line) for line in REFERENCE.read_text().splitlines() if line.startswith("curl ")]


@pytest.fixture
def clock(tmp_path: Path) -> MovableClock:
    return MovableClock.create(tmp_path / "clock")


@pytest.fixture
async def http(clock: MovableClock, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    stand_ins: list[StandIn] = [Almanac(clock, "stripe"), AcousticStandIn(clock, ACCOUNT)]
    world = World(clock, stand_ins, pipeline=Pipeline(database.urls["sandbox"]))
    async with serving(world.app()) as base, httpx.AsyncClient(base_url=base) as http:
        yield http


async def test_the_reference_describes_every_call_and_no_other(http: httpx.AsyncClient) -> None:
    described = set(re.findall(r"^### `(.+)`$", REFERENCE.read_text(), re.MULTILINE))
    assert described == set((await http.get("/_sandbox/")).json()["calls"])


async def test_every_example_of_the_reference_works(http: httpx.AsyncClient) -> None:
    answers = {
        example: await http.request(example.method, example.path, content=example.body)
        for example in _examples()
    }
    assert len(answers) >= 13
    assert {example: answer.text for example, answer in answers.items() if not answer.is_success} == {}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", "localhost", ""])
def test_another_address_than_loopback_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match="loopback only"):
        require_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1"])
def test_loopback_is_accepted(host: str) -> None:
    require_loopback(host)


async def test_a_stand_in_is_furnished_at_the_start_and_after_a_reset(clock: MovableClock) -> None:
    furnished: list[str] = []

    async def furnish(stand_in: StandIn) -> None:
        furnished.append(stand_in.name)

    world = World(clock, [Almanac(clock, "one"), Almanac(clock, "two")], furnish=furnish)
    async with serving(world.app()) as base, httpx.AsyncClient(base_url=base) as http:
        assert furnished == ["one", "two"]
        await http.post("/_sandbox/two/reset")
    assert furnished == ["one", "two", "two"]


async def test_stand_ins_stop_with_the_world(clock: MovableClock) -> None:
    almanac = Almanac(clock)
    async with serving(World(clock, [almanac]).app()):
        assert almanac.is_started
    assert not almanac.is_started
