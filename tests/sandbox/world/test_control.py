import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from acoustic_calls import ACCOUNT, Caller, recipient
from almanac import Almanac
from hypothesis import given
from hypothesis import strategies as st
from serving import serving

from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.stand_ins.faults import Faults
from mainstem.sandbox.world.app import World
from mainstem.sandbox.world.clock import MovableClock
from mainstem.sandbox.world.timeline import StuckError, Timeline


@pytest.fixture
def clock(tmp_path: Path) -> MovableClock:
    return MovableClock.create(tmp_path / "clock")


@pytest.fixture
def almanac(clock: MovableClock) -> Almanac:
    return Almanac(clock)


@pytest.fixture
def later(clock: MovableClock) -> datetime:
    return clock.now() + timedelta(days=1)


@pytest.fixture
async def http(clock: MovableClock, almanac: Almanac) -> AsyncIterator[httpx.AsyncClient]:
    world = World(clock, [almanac, AcousticStandIn(clock, ACCOUNT)], Faults())
    async with serving(world.app()) as base, httpx.AsyncClient(base_url=base) as http:
        yield http


async def _move(http: httpx.AsyncClient, **body: Any) -> Any:
    answer = await http.post("/_sandbox/clock", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_it_is_ready_once_the_stand_ins_have_started(http: httpx.AsyncClient, almanac: Almanac) -> None:
    statuses = [(await http.get(f"/__{path}__")).status_code for path in ("heartbeat", "lbheartbeat")]
    assert (statuses, almanac.is_started) == ([200, 200], True)


async def test_it_lists_its_calls(http: httpx.AsyncClient) -> None:
    answer = (await http.get("/_sandbox/")).json()
    assert answer["stand_ins"] == ["almanac", "acoustic"]
    assert answer["calls"]["POST /_sandbox/clock"]


async def test_a_fault_that_was_added_applies_and_is_counted(http: httpx.AsyncClient) -> None:
    rule = {"target": "almanac", "kind": "status", "status": 402, "body": {"error": "no"}, "remaining": 2}
    added = await http.post("/_sandbox/faults", json=rule)
    answer = await http.get("/almanac/act")
    listed = (await http.get("/_sandbox/faults")).json()
    assert (added.status_code, added.json()["path"]) == (201, "")
    assert (answer.status_code, answer.json()) == (402, {"error": "no"})
    assert ([fault["remaining"] for fault in listed["faults"]], listed["applied"]) == ([1], {"almanac": 1})


async def test_faults_are_dropped_by_target_or_all(http: httpx.AsyncClient) -> None:
    for target in ("almanac", "acoustic", "almanac.webhook"):
        await http.post("/_sandbox/faults", json={"target": target, "kind": "drop"})
    await http.delete("/_sandbox/faults", params={"target": "acoustic"})
    left = (await http.get("/_sandbox/faults")).json()["faults"]
    assert [fault["target"] for fault in left] == ["almanac", "almanac.webhook"]
    assert (await http.delete("/_sandbox/faults")).status_code == 204
    assert (await http.get("/_sandbox/faults")).json() == {"faults": [], "applied": {}}


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"target": "_sandbox", "kind": "drop"},
        {"target": "acoustic.webhook", "kind": "drop"},
        {"target": "almanac", "kind": "explode"},
        {"target": "almanac", "kind": "duplicate"},
        {"target": "almanac", "kind": "status", "status": "500"},
        {"target": "almanac", "kind": "status", "headers": {"Retry-After": 2}},
        {"target": "almanac", "kind": "drop", "remaining": 0},
        {"target": "almanac", "kind": "drop", "delay_seconds": "1"},
        {"target": "almanac", "kind": "drop", "colour": "red"},
        ["almanac"],
    ],
)
async def test_a_rule_that_means_nothing_is_refused_with_a_reason(http: httpx.AsyncClient, rule: Any) -> None:
    answer = await http.post("/_sandbox/faults", json=rule)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["detail"]
    assert (await http.get("/_sandbox/faults")).json()["faults"] == []


async def test_a_body_that_is_no_json_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/_sandbox/faults", content=b"\xff{")
    assert (answer.status_code, answer.json()["detail"]) == (400, "The body is not JSON.")


async def test_it_tells_what_a_stand_in_holds_and_received(http: httpx.AsyncClient) -> None:
    caller = Caller(http)
    await caller.authorise()
    await caller.call(recipient({"email_id": "one", "email": "one@example.com"}))
    held = (await http.get("/_sandbox/acoustic")).json()
    received = (await http.get("/_sandbox/acoustic/received")).json()["received"]
    assert held["main"] == {"one": {"email_id": "one", "email": "one@example.com"}}
    assert [call["operation"] for call in received] == ["token", "AddRecipient"]
    assert (await http.post("/_sandbox/acoustic/reset")).status_code == 204
    assert (await http.get("/_sandbox/acoustic")).json()["main"] == {}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/_sandbox/nobody"),
        ("GET", "/_sandbox/nobody/received"),
        ("POST", "/_sandbox/nobody/reset"),
        ("POST", "/_sandbox/acoustic/hold"),
        ("GET", "/_sandbox/acoustic/no/such"),
    ],
)
async def test_what_is_not_there_is_a_404_problem(http: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await http.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_a_wrong_method_is_a_405_problem(http: httpx.AsyncClient) -> None:
    answer = await http.put("/_sandbox/clock")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")


async def test_webhooks_are_held_and_released_in_an_order(http: httpx.AsyncClient, almanac: Almanac) -> None:
    assert (await http.post("/_sandbox/almanac/hold")).status_code == 204
    assert almanac.is_holding
    released = await http.post("/_sandbox/almanac/release", json={"order": "reversed", "times": 2})
    assert (released.json(), almanac.is_holding) == ({"released": 3}, False)
    assert almanac.released == ("reversed", 2)
    await http.post("/_sandbox/almanac/release")
    assert almanac.released == ("recorded", 1)


@pytest.mark.parametrize(
    "body", [{"order": "shuffled"}, {"times": 0}, {"times": True}, {"times": 1.5}, {"x": 1}]
)
async def test_a_release_that_means_nothing_is_refused(http: httpx.AsyncClient, body: Any) -> None:
    assert (await http.post("/_sandbox/almanac/release", json=body)).status_code == 400


async def test_the_clock_moves_for_everybody(http: httpx.AsyncClient, clock: MovableClock) -> None:
    before = clock.now()
    now = datetime.fromisoformat((await _move(http, advance_seconds=3600))["now"])
    assert timedelta(hours=1) <= now - before < timedelta(hours=1, seconds=30)
    assert timedelta() <= datetime.fromisoformat((await http.get("/_sandbox/clock")).json()["now"]) - now
    assert clock.now() >= now


async def test_the_clock_stops_at_each_instant_that_is_due_in_order(
    http: httpx.AsyncClient, almanac: Almanac, later: datetime
) -> None:
    instants = [later + timedelta(hours=hours) for hours in (5, 1, 3)]
    almanac.due = [*instants, later + timedelta(days=9)]
    answer = await _move(http, to=(later + timedelta(days=1)).isoformat())
    assert [datetime.fromisoformat(step) for step in answer["steps"]] == sorted(instants)
    assert [at for at, _ in almanac.fallen] == sorted(instants)
    assert all(timedelta() <= now - at < timedelta(seconds=30) for at, now in almanac.fallen)
    assert almanac.due == [later + timedelta(days=9)]


async def test_the_answer_comes_when_all_that_fell_due_is_sent(
    http: httpx.AsyncClient, almanac: Almanac, later: datetime
) -> None:
    almanac.due = [later]
    await _move(http, to=later.isoformat())
    assert (len(almanac.fallen), almanac.pending()) == (1, 0)


async def test_moves_at_once_play_each_instant_once(
    http: httpx.AsyncClient, almanac: Almanac, later: datetime
) -> None:
    instants = [later + timedelta(hours=hours) for hours in range(10)]
    almanac.due = [*instants]
    body = {"to": (later + timedelta(days=1)).isoformat()}
    answers = await asyncio.gather(*(http.post("/_sandbox/clock", json=body) for _ in range(3)))
    # A move whose turn to be read comes after another one's end asks for a time that has passed.
    assert {answer.status_code for answer in answers} <= {200, 400}
    assert [at for at, _ in almanac.fallen] == instants


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"advance_seconds": -1},
        {"advance_seconds": "60"},
        {"advance_seconds": True},
        {"advance_seconds": 10**400},
        {"advance_seconds": 10**9},
        {"to": "2020-01-01T00:00:00Z"},
        {"to": "2090-01-01T00:00:00"},
        {"to": "9999-12-31T23:59:59-12:00"},
        {"to": "tomorrow"},
        {"to": 5},
        {"advance_seconds": 1, "to": "2090-01-01T00:00:00Z"},
        {"by": 1},
    ],
)
async def test_a_move_that_is_not_forward_or_not_clear_is_refused(
    http: httpx.AsyncClient, clock: MovableClock, body: Any
) -> None:
    ahead = clock.ahead
    answer = await http.post("/_sandbox/clock", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert clock.ahead == ahead


async def test_what_the_passing_of_time_makes_due_falls_due_by_itself(
    http: httpx.AsyncClient, clock: MovableClock, almanac: Almanac
) -> None:
    almanac.due = [clock.now() + timedelta(seconds=0.1)]
    for _ in range(100):
        if almanac.fallen:
            break
        await asyncio.sleep(0.05)
    assert len(almanac.fallen) == 1


async def test_settled_without_a_database_is_a_503(http: httpx.AsyncClient) -> None:
    assert (await http.get("/_sandbox/settled")).status_code == 503
    assert (await http.post("/_sandbox/empty")).status_code == 503


class Standstill(Almanac):
    """Is due for ever."""

    async def fall_due(self, at: datetime) -> None:
        self.fallen.append((at, at))


async def test_a_stand_in_that_does_not_get_on_is_an_error_and_no_endless_loop(
    clock: MovableClock, later: datetime
) -> None:
    standstill = Standstill(clock)
    standstill.due = [later]
    with pytest.raises(StuckError):
        await Timeline(clock, [standstill]).move_to(later)


@given(hours=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 200)), max_size=12))
def test_things_of_all_stand_ins_fall_due_in_order_of_time(
    tmp_path_factory: pytest.TempPathFactory, hours: list[tuple[int, int]]
) -> None:
    clock = MovableClock.create(tmp_path_factory.mktemp("clock") / "clock")
    order: list[datetime] = []

    class Chronicle(Almanac):
        async def fall_due(self, at: datetime) -> None:
            await super().fall_due(at)
            order.append(at)

    both = [Chronicle(clock, "one"), Chronicle(clock, "two")]
    start = clock.now()
    for which, hour in hours:
        both[which].due.append(start + timedelta(hours=hour))
    expected = sorted(at for almanac in both for at in almanac.due)
    asyncio.run(Timeline(clock, both).move_to(start + timedelta(hours=100)))
    assert order == [at for at in expected if at <= start + timedelta(hours=100)]
    assert clock.now() >= start + timedelta(hours=100)
    assert clock.now().tzinfo is UTC
