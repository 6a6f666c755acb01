"""Limits, proofs and turns of logins, each alone and by a clock that the tests move."""

import asyncio
from dataclasses import dataclass

import pytest

from mainstem.common.errors import TooManyRequestsError
from mainstem.gateway.tokens import proofs
from mainstem.gateway.tokens.attempts import Attempts, FailureLimit, network_of
from mainstem.gateway.tokens.proofs import Proofs
from mainstem.gateway.tokens.turns import LineFullError, Turns


@dataclass
class Time:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def is_allowed(limits: Attempts, address: str, client_id: str, *, has_place: bool = False) -> bool:
    try:
        limits.check(address, client_id, has_place=has_place)
    except TooManyRequestsError:
        return False
    return True


def test_limit_forgives_one_failure_at_a_time() -> None:
    time = Time()
    limit = FailureLimit(3, 10.0, time)
    for _ in range(3):
        assert limit.wait_seconds("key") == 0
        limit.record("key")
    assert limit.wait_seconds("key") == 10
    time.now += 10
    assert limit.wait_seconds("key") == 0
    limit.record("key")
    assert limit.wait_seconds("key") == 10
    time.now += 30
    assert limit.debt_seconds("key") == 0


def test_limit_remembers_a_bounded_number_of_keys_and_the_latest_of_them() -> None:
    limit = FailureLimit(1, 10.0, Time(), capacity=100)
    for key in range(1_000):
        limit.record(key)
    assert len(limit._forgiven_at) == 100
    assert limit.wait_seconds(999) > 0


def test_failures_from_many_addresses_bar_those_that_failed_on_the_id_and_nobody_else() -> None:
    limits = Attempts(Time())
    for number in range(100):
        limits.record(f"192.0.2.{number}", "id_demo")
    assert not is_allowed(limits, "192.0.2.1", "id_demo")
    assert is_allowed(limits, "192.0.2.1", "id_demo", has_place=True)
    assert is_allowed(limits, "192.0.2.1", "id_other")
    assert is_allowed(limits, "198.51.100.1", "id_demo")


def test_failures_of_others_at_an_address_do_not_bar_a_client_with_a_place() -> None:
    limits = Attempts(Time())
    for number in range(100):
        limits.record("192.0.2.1", f"id_{number}")
    assert not is_allowed(limits, "192.0.2.1", "id_demo")
    assert is_allowed(limits, "192.0.2.1", "id_demo", has_place=True)
    assert is_allowed(limits, "192.0.2.2", "id_demo")


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a-name-of-any-length" * 100, ""),
        ("", ""),
    ],
)
def test_hosts_of_one_network_count_as_one_address(host: str, network: str) -> None:
    assert network_of(host) == network


def test_proof_holds_for_one_client_one_secret_and_one_day() -> None:
    time = Time()
    kept = Proofs(time)
    kept.put("id_demo", "secret", "hash")
    kept.keep_place("id_demo", "192.0.2.1")
    assert kept.find("id_demo", "secret") == "hash"
    assert kept.find("id_demo", "other") is None
    assert kept.find("id_dem", "osecret") is None
    assert kept.has_place("id_demo", "192.0.2.1")
    assert not kept.has_place("id_demo", "192.0.2.2")
    time.now += proofs.PROOF_SECONDS
    assert kept.find("id_demo", "secret") is None
    assert not kept.has_place("id_demo", "192.0.2.1")


def test_proofs_are_bounded_and_hold_no_secret() -> None:
    kept = Proofs(Time(), capacity=10)
    for number in range(100):
        kept.put(f"id_{number}", "secret-of-a-client", "hash")
    assert len(kept._hashes._entries) == 10
    assert kept.find("id_99", "secret-of-a-client") == "hash"
    assert "secret-of-a-client" not in repr(kept._hashes._entries)


class Queue:
    """Turns that are held until `run`; records the order of the waiters."""

    def __init__(self, **bounds: int) -> None:
        self._turns = Turns(**bounds)
        self._start = asyncio.Event()
        self._tasks = [asyncio.create_task(self._hold())]
        self.order: list[str] = []
        self.refused: list[str] = []

    async def join(self, name: str, *, is_next: bool = False) -> asyncio.Task[None]:
        await asyncio.sleep(0)
        task = asyncio.create_task(self._wait(name, is_next=is_next))
        self._tasks.append(task)
        await asyncio.sleep(0)
        return task

    async def run(self) -> list[str]:
        self._start.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return self.order

    async def _hold(self) -> None:
        async with self._turns.turn("holder"):
            await self._start.wait()

    async def _wait(self, name: str, *, is_next: bool) -> None:
        try:
            async with self._turns.turn(name[0], is_next=is_next):
                self.order.append(name)
                await asyncio.sleep(0)
        except LineFullError:
            self.refused.append(name)


async def test_turns_go_round_the_lines_and_a_line_that_is_next_goes_first() -> None:
    queue = Queue()
    for name in ("a1", "a2", "a3", "b1", "c1", "b2"):
        await queue.join(name)
    await queue.join("d1", is_next=True)
    assert await queue.run() == ["d1", "a1", "b1", "c1", "a2", "b2", "a3"]


async def test_full_line_refuses_and_the_longest_line_makes_room_for_others() -> None:
    queue = Queue(line=3, total=4)
    for name in ("a1", "a2", "a3", "a4", "b1", "c1", "d1", "e1"):
        await queue.join(name)
    await queue.join("f1", is_next=True)
    assert queue.refused[:1] == ["a4"]
    order = await queue.run()
    assert order[0] == "f1"
    assert len(order) == 4
    assert {"a1", "b1", "c1"} & set(order)
    assert {"a2", "a3", "e1"} <= set(queue.refused)


async def test_waiter_that_leaves_passes_its_turn_on() -> None:
    queue = Queue()
    leaving = [await queue.join("a1"), await queue.join("b1")]
    await queue.join("c1")
    leaving[0].cancel()
    queue._start.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaving[1].cancel()
    assert (await queue.run())[-1] == "c1"
    assert not queue._turns._is_held
