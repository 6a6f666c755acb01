import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from almanac import Almanac
from servers import Database
from serving import serving

from mainstem.sandbox.stand_ins.faults import Faults
from mainstem.sandbox.world.app import World
from mainstem.sandbox.world.clock import MovableClock
from mainstem.sandbox.world.settled import Pipeline

EVENT = (
    "INSERT INTO inbox.event (provider, account, event_id, type, body, status, recorded_at, due_at)"
    " VALUES ('stripe', 'default', $1, 'x', '', $2, $3, $3)"
)
ENTRY = (
    "INSERT INTO outbox.entry (consumer, topic, key, recorded_at, due_at, settled_at)"
    " VALUES ('sync', 'x', 'y', $1, $1, $2)"
)
DELIVERY = (
    "INSERT INTO contact.delivery (contact_id, platform, wanted, sent, wanted_at, due_at)"
    " VALUES (gen_random_uuid(), 'acoustic', $1, $2, $3, $3)"
)
RESERVATION = """
INSERT INTO billing.reservation (id, account_id, product, price, status, due_at, created_at, updated_at)
VALUES (gen_random_uuid(), gen_random_uuid(), 'prod_1', 'price_1', $1, $2, $2, $2)
"""
OPERATION = """
INSERT INTO billing.operation
  (id, account_id, kind, object_type, object_id, status, due_at, created_at, wanted_at)
VALUES (gen_random_uuid(), gen_random_uuid(), 'kind', 'subscription', 'sub_1', 'wanted', $1, $1, $1)
"""
LEASE = "UPDATE {} SET lease_expires_at = clock_timestamp() + $1"


@pytest.fixture
def clock(tmp_path: Path) -> MovableClock:
    return MovableClock.create(tmp_path / "clock")


@pytest.fixture
def almanac(clock: MovableClock) -> Almanac:
    return Almanac(clock)


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database.url)
    yield connection
    await connection.close()


@pytest.fixture
async def http(database: Database, clock: MovableClock, almanac: Almanac) -> AsyncIterator[httpx.AsyncClient]:
    world = World(clock, [almanac], Faults(), pipeline=Pipeline(database.urls["sandbox"]))
    async with serving(world.app()) as base, httpx.AsyncClient(base_url=base) as http:
        yield http


async def _settled(http: httpx.AsyncClient, **params: Any) -> Any:
    answer = await http.get("/_sandbox/settled", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _outstanding(answer: Any) -> dict[str, int]:
    return {name: count for name, count in answer.items() if count and name not in ("settled", "next_due_at")}


async def test_an_empty_pipeline_is_settled(http: httpx.AsyncClient) -> None:
    assert await _settled(http) == {
        "settled": True,
        "webhooks_pending": 0,
        "events_leased": 0,
        "events_due": 0,
        "events_waiting": 0,
        "outbox_unsettled": 0,
        "deliveries_leased": 0,
        "deliveries_due": 0,
        "deliveries_waiting": 0,
        "operations_wanted": 0,
        "reservations_due": 0,
        "next_due_at": None,
        "dead_letters": 0,
    }


async def test_each_kind_of_outstanding_work_unsettles(
    http: httpx.AsyncClient, owner: Any, almanac: Almanac, clock: MovableClock
) -> None:
    almanac.queued = 1
    assert _outstanding(await _settled(http)) == {"webhooks_pending": 1}
    almanac.queued = 0
    await owner.execute(EVENT, "evt_1", "received", clock.now())
    assert _outstanding(await _settled(http)) == {"events_due": 1}
    await owner.execute("UPDATE inbox.event SET status = 'done'")
    await owner.execute(ENTRY, clock.now(), None)
    assert _outstanding(await _settled(http)) == {"outbox_unsettled": 1}
    await owner.execute("UPDATE outbox.entry SET settled_at = $1", clock.now())
    await owner.execute(DELIVERY, 2, 1, clock.now())
    assert _outstanding(await _settled(http)) == {"deliveries_due": 1}
    await owner.execute("UPDATE contact.delivery SET sent = 2")
    assert (await _settled(http))["settled"] is True


@pytest.mark.parametrize("status", ["done", "ignored"])
async def test_finished_events_do_not_count(
    http: httpx.AsyncClient, owner: Any, clock: MovableClock, status: str
) -> None:
    await owner.execute(EVENT, "evt_1", status, clock.now())
    assert _outstanding(await _settled(http)) == {}


async def test_dead_letters_are_counted_apart(
    http: httpx.AsyncClient, owner: Any, clock: MovableClock
) -> None:
    await owner.execute(EVENT, "evt_1", "dead", clock.now())
    answer = await _settled(http)
    assert (answer["settled"], answer["dead_letters"]) == (True, 1)


async def test_work_under_a_lease_counts_until_the_lease_ends(
    http: httpx.AsyncClient, owner: Any, clock: MovableClock
) -> None:
    await owner.execute(EVENT, "evt_1", "received", clock.now())
    await owner.execute(DELIVERY, 1, 0, clock.now())
    for table in ("inbox.event", "contact.delivery"):
        await owner.execute(LEASE.format(table), timedelta(seconds=30))
    assert _outstanding(await _settled(http)) == {"events_leased": 1, "deliveries_leased": 1}
    for table in ("inbox.event", "contact.delivery"):
        await owner.execute(LEASE.format(table), timedelta(seconds=-1))
    assert _outstanding(await _settled(http)) == {"events_due": 1, "deliveries_due": 1}


async def test_what_billing_began_is_outstanding_and_an_open_checkout_is_not(
    http: httpx.AsyncClient, owner: Any, clock: MovableClock
) -> None:
    later = clock.now() + timedelta(hours=1)
    await owner.execute(RESERVATION, "open", later)
    assert (await _settled(http))["settled"] is True
    await owner.execute(RESERVATION, "creating", later)
    await owner.execute(OPERATION, later)
    answer = await _settled(http)
    assert _outstanding(answer) == {"operations_wanted": 1, "reservations_due": 1}
    assert datetime.fromisoformat(answer["next_due_at"]) == later


async def test_a_retry_that_waits_is_not_settled_and_says_until_when(
    http: httpx.AsyncClient, owner: Any, clock: MovableClock
) -> None:
    retry = clock.now() + timedelta(hours=1)
    await owner.execute(EVENT, "evt_1", "received", retry)
    await owner.execute(DELIVERY, 1, 0, retry + timedelta(hours=1))
    answer = await _settled(http)
    assert answer["settled"] is False
    assert _outstanding(answer) == {"events_waiting": 1, "deliveries_waiting": 1}
    assert datetime.fromisoformat(answer["next_due_at"]) == retry


async def test_a_moved_clock_makes_a_waiting_retry_due(
    http: httpx.AsyncClient, owner: Any, clock: MovableClock
) -> None:
    await owner.execute(EVENT, "evt_1", "received", clock.now() + timedelta(hours=1))
    await http.post("/_sandbox/clock", json={"advance_seconds": 3601})
    assert _outstanding(await _settled(http)) == {"events_due": 1}


async def test_waiting_answers_as_soon_as_all_is_settled(
    http: httpx.AsyncClient, owner: Any, clock: MovableClock
) -> None:
    await owner.execute(EVENT, "evt_1", "received", clock.now())
    waiting = asyncio.create_task(_settled(http, wait_seconds=30))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await owner.execute("UPDATE inbox.event SET status = 'done'")
    assert (await asyncio.wait_for(waiting, 10))["settled"] is True


async def test_waiting_ends_with_what_is_still_outstanding(
    http: httpx.AsyncClient, owner: Any, clock: MovableClock
) -> None:
    await owner.execute(ENTRY, clock.now(), None)
    answer = await _settled(http, wait_seconds=0.2)
    assert (answer["settled"], answer["outbox_unsettled"]) == (False, 1)


async def test_a_release_under_way_is_not_settled(http: httpx.AsyncClient, almanac: Almanac) -> None:
    almanac.sending.clear()
    release = asyncio.create_task(http.post("/_sandbox/almanac/release"))
    await almanac.asked.wait()
    assert _outstanding(await _settled(http)) == {"webhooks_pending": 1}
    almanac.sending.set()
    await release
    assert (await _settled(http))["settled"] is True


@pytest.mark.parametrize("seconds", ["-1", "nan", "soon", "601"])
async def test_a_wait_that_is_no_wait_is_refused(http: httpx.AsyncClient, seconds: str) -> None:
    answer = await http.get("/_sandbox/settled", params={"wait_seconds": seconds})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


async def test_emptying_removes_what_flowed_and_keeps_what_was_set_up(
    http: httpx.AsyncClient, owner: Any, clock: MovableClock
) -> None:
    now = datetime.now(UTC)
    await owner.execute(EVENT, "evt_1", "dead", clock.now())
    await owner.execute(ENTRY, clock.now(), None)
    await owner.execute(DELIVERY, 1, 0, clock.now())
    await owner.execute(
        "INSERT INTO inbox.account (provider, account, mode) VALUES ('stripe', 'default', 'fetch')"
    )
    await owner.execute(
        "INSERT INTO gateway.api_client"
        " (client_id, email, secret_hash, enabled, scopes, created_at, rotated_at)"
        " VALUES ('demo', 'demo@example.com', '', true, '{}', $1, $1)",
        now,
    )
    slots = await owner.fetchval("SELECT count(*) FROM contact.slot")
    answers = [await http.post("/_sandbox/empty") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert {"inbox.event", "outbox.entry", "contact.delivery"} <= set(answers[0].json()["emptied"])
    assert (await _settled(http))["dead_letters"] == 0
    for table, count in {"inbox.account": 1, "gateway.api_client": 1, "contact.slot": slots}.items():
        assert await owner.fetchval(f"SELECT count(*) FROM {table}") == count
    assert await owner.fetchval("SELECT count(*) FROM mainstem.state") == 1


async def test_the_sandbox_can_only_read_and_empty(database: Database) -> None:
    connection = await asyncpg.connect(database.urls["sandbox"])
    try:
        for statement in ("DELETE FROM inbox.event", "UPDATE contact.delivery SET sent = 0"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("TRUNCATE gateway.api_client")
    finally:
        await connection.close()


async def test_a_database_that_is_away_is_a_503_with_a_reason(clock: MovableClock, almanac: Almanac) -> None:
    world = World(clock, [almanac], Faults(), pipeline=Pipeline("postgresql://a:b@127.0.0.1:1/none"))
    async with serving(world.app()) as base, httpx.AsyncClient(base_url=base) as http:
        answer = await http.get("/_sandbox/settled")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
