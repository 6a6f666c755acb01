import time
from collections.abc import AsyncIterator

import httpx
import pytest
from almanac import Almanac
from hypothesis import given
from hypothesis import strategies as st
from serving import serving
from starlette.applications import Starlette
from starlette.routing import Mount

from mainstem.common.clock import SystemClock
from mainstem.sandbox.stand_ins.faults import Fault, FaultError, FaultMiddleware, Faults, Kind


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def almanac() -> Almanac:
    return Almanac(SystemClock())


@pytest.fixture
async def http(faults: Faults, almanac: Almanac) -> AsyncIterator[httpx.AsyncClient]:
    routes = Starlette(routes=[Mount("/almanac", routes=almanac.routes)])
    async with serving(FaultMiddleware(routes, faults)) as base, httpx.AsyncClient(base_url=base) as http:
        yield http


async def test_without_rules_requests_pass(http: httpx.AsyncClient) -> None:
    assert (await http.post("/almanac/act")).json() == {"acts": 1}


async def test_a_status_is_answered_without_the_stand_in(
    http: httpx.AsyncClient, faults: Faults, almanac: Almanac
) -> None:
    faults.add(Fault("almanac", Kind.STATUS, status=429, headers={"Retry-After": "2"}, body="slow down"))
    answer = await http.post("/almanac/act")
    assert (answer.status_code, answer.headers["retry-after"], answer.text) == (429, "2", "slow down")
    assert almanac.acts == 0


async def test_a_delay_is_late_and_else_as_usual(http: httpx.AsyncClient, faults: Faults) -> None:
    faults.add(Fault("almanac", Kind.DELAY, delay_seconds=0.2))
    began = time.monotonic()
    assert (await http.post("/almanac/act")).json() == {"acts": 1}
    assert time.monotonic() - began >= 0.2


async def test_a_drop_closes_without_an_answer_and_without_acting(
    http: httpx.AsyncClient, faults: Faults, almanac: Almanac
) -> None:
    faults.add(Fault("almanac", Kind.DROP))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        await http.post("/almanac/act")
    assert almanac.acts == 0


async def test_a_lost_answer_closes_without_an_answer_after_acting(
    http: httpx.AsyncClient, faults: Faults, almanac: Almanac
) -> None:
    faults.add(Fault("almanac", Kind.LOSE_ANSWER))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        await http.post("/almanac/act")
    assert almanac.acts == 1
    assert (await http.post("/almanac/act")).json() == {"acts": 2}


async def test_late_answer_times_out_on_an_open_connection_after_acting(
    http: httpx.AsyncClient, faults: Faults, almanac: Almanac
) -> None:
    faults.add(Fault("almanac", Kind.LATE_ANSWER, delay_seconds=0.5))
    with pytest.raises(httpx.ReadTimeout):
        await http.post("/almanac/act", timeout=0.2)
    assert almanac.acts == 1
    assert (await http.post("/almanac/act")).json() == {"acts": 2}


async def test_late_answer_is_the_stand_ins_own(http: httpx.AsyncClient, faults: Faults) -> None:
    faults.add(Fault("almanac", Kind.LATE_ANSWER, delay_seconds=0.01))
    assert (await http.post("/almanac/act")).json() == {"acts": 1}


async def test_a_replaced_answer_is_the_rules_after_acting(
    http: httpx.AsyncClient, faults: Faults, almanac: Almanac
) -> None:
    faults.add(Fault("almanac", Kind.REPLACE_ANSWER, status=200, body="something else"))
    answer = await http.post("/almanac/act")
    assert (answer.status_code, answer.text, almanac.acts) == (200, "something else", 1)


async def test_truncated_answer_breaks_off_after_acting(
    http: httpx.AsyncClient, faults: Faults, almanac: Almanac
) -> None:
    faults.add(Fault("almanac", Kind.TRUNCATE))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        await http.post("/almanac/act")
    assert almanac.acts == 1


async def test_a_rule_befalls_only_its_target_method_and_path(
    http: httpx.AsyncClient, faults: Faults
) -> None:
    faults.add(Fault("other", Kind.STATUS))
    faults.add(Fault("almanac", Kind.STATUS, method="GET", path="^/act$", status=503))
    faults.add(Fault("almanac", Kind.STATUS, path="^/almanac"))
    assert (await http.post("/almanac/act")).status_code == 200
    assert (await http.get("/almanac/act")).status_code == 503
    assert faults.applied() == {"almanac": 1}


async def test_a_rule_ends_after_its_turns(http: httpx.AsyncClient, faults: Faults) -> None:
    faults.add(Fault("almanac", Kind.STATUS, remaining=2))
    statuses = [(await http.get("/almanac/act")).status_code for _ in range(4)]
    assert statuses == [500, 500, 200, 200]
    assert faults.rules() == []


async def test_a_rule_without_a_number_lasts_until_it_is_cleared(
    http: httpx.AsyncClient, faults: Faults
) -> None:
    faults.add(Fault("almanac", Kind.STATUS, remaining=None))
    assert [(await http.get("/almanac/act")).status_code for _ in range(3)] == [500] * 3
    faults.clear()
    assert (await http.get("/almanac/act")).status_code == 200


def test_clearing_a_target_leaves_the_others(faults: Faults) -> None:
    faults.add(Fault("stripe", Kind.DROP))
    faults.add(Fault("acoustic", Kind.DROP, remaining=2))
    faults.match("acoustic", "POST", "/XMLAPI")
    faults.clear("stripe")
    assert [rule.target for rule in faults.rules()] == ["acoustic"]
    assert faults.applied() == {"acoustic": 1}


def test_a_webhook_asks_for_its_own_target(faults: Faults) -> None:
    faults.add(Fault("stripe.webhook", Kind.DUPLICATE, path="/webhooks/"))
    assert faults.match("stripe", "POST", "http://127.0.0.1:1/webhooks/stripe") is None
    match = faults.match("stripe.webhook", "POST", "http://127.0.0.1:1/webhooks/stripe")
    assert match is not None
    assert match.kind is Kind.DUPLICATE


@given(st.lists(st.integers(min_value=1, max_value=5), max_size=6))
def test_every_turn_is_used_once_and_in_the_order_given(turns: list[int]) -> None:
    faults = Faults()
    for status, remaining in enumerate(turns, start=500):
        faults.add(Fault("stripe", Kind.STATUS, status=status, remaining=remaining))
    seen = []
    while (match := faults.match("stripe", "GET", "/")) is not None:
        seen.append(match.status)
    assert seen == [status for status, remaining in enumerate(turns, start=500) for _ in range(remaining)]


@pytest.mark.parametrize(
    ("target", "kind", "rest"),
    [
        ("stripe", Kind.DUPLICATE, {}),
        ("stripe.webhook", Kind.STATUS, {}),
        ("stripe.webhook", Kind.LOSE_ANSWER, {}),
        ("stripe", Kind.DELAY, {}),
        ("stripe", Kind.LATE_ANSWER, {}),
        ("stripe.webhook", Kind.LATE_ANSWER, {"delay_seconds": 1}),
        ("stripe", Kind.DELAY, {"delay_seconds": float("nan")}),
        ("stripe", Kind.STATUS, {"delay_seconds": -1}),
        ("stripe", Kind.STATUS, {"status": 199}),
        ("stripe", Kind.STATUS, {"remaining": 0}),
        ("stripe", Kind.STATUS, {"path": "("}),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(target: str, kind: Kind, rest: dict[str, object]) -> None:
    with pytest.raises(FaultError):
        Fault(target, kind, **rest)  # type: ignore[arg-type]  # what no type would let through
