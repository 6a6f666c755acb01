import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from connections import Connect
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from properties import examples
from servers import Database

from mainstem.common.database.pool import Connection
from mainstem.common.queue import inbox
from mainstem.common.queue.inbox import NAMES, NewEvent

NOW = datetime(2031, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
EVERYTHING = "SELECT * FROM inbox.event ORDER BY provider, account, event_id"


def event(event_id: str = "evt_1", /, **changes: object) -> NewEvent:
    plain = NewEvent(
        provider="stripe",
        account="default",
        event_id=event_id,
        type="customer.updated",
        object_type="customer",
        object_id="cus_1",
        created=NOW,
        api_version="2026-10-28.endive",
        livemode=False,
        body=b'{"id": "evt_1"}\x00\xff',
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        status="received",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # the field's name decides its type


@pytest.fixture
async def database(module_database: Database) -> Database:
    """The module's database, emptied."""
    connection = await asyncpg.connect(module_database.url)
    await connection.execute("TRUNCATE inbox.event")
    await connection.close()
    return module_database


@pytest.fixture
async def writer(connect: Connect) -> Connection:
    return await connect("ingest")


async def test_an_event_is_stored_with_every_field_and_its_exact_bytes(writer: Connection) -> None:
    one = event()
    assert await inbox.insert(writer, [one], NOW) == 1
    (row,) = await writer.fetch(EVERYTHING)
    assert {name: row[name] for name in NAMES} == {name: getattr(one, name) for name in NAMES}
    assert (row["recorded_at"], row["due_at"], row["claims"], row["failures"]) == (NOW, NOW, 0, 0)


async def test_an_event_may_lack_all_that_is_optional(writer: Connection) -> None:
    bare = event(
        object_type=None, object_id=None, created=None, api_version=None, livemode=None, traceparent=None
    )
    assert await inbox.insert(writer, [bare], NOW) == 1


async def test_a_duplicate_changes_nothing(writer: Connection) -> None:
    await inbox.insert(writer, [event()], NOW)
    before = await writer.fetch(EVERYTHING)
    assert await inbox.insert(writer, [event(body=b"other", type="other")] * 3, LATER) == 0
    assert await writer.fetch(EVERYTHING) == before


@pytest.mark.parametrize("status", ["received", "done", "ignored"])
async def test_a_redelivery_leaves_an_event_alone_that_is_not_dead(writer: Connection, status: str) -> None:
    await inbox.insert(writer, [event()], NOW)
    await writer.execute("UPDATE inbox.event SET status = $1, failures = 2, claims = 3", status)
    before = await writer.fetch(EVERYTHING)
    assert await inbox.insert(writer, [event()], LATER) == 0
    assert await writer.fetch(EVERYTHING) == before


async def test_a_redelivery_of_a_dead_event_revives_it(writer: Connection) -> None:
    await inbox.insert(writer, [event()], NOW)
    await writer.execute("UPDATE inbox.event SET status = 'dead', failures = 5, claims = 9, last_error = 'x'")
    assert await inbox.insert(writer, [event()], LATER) == 1
    (row,) = await writer.fetch(EVERYTHING)
    assert (row["status"], row["failures"], row["claims"], row["last_error"]) == ("received", 0, 0, None)
    assert (row["due_at"], row["recorded_at"]) == (LATER, NOW)


async def test_one_event_id_of_two_accounts_or_providers_is_two_events(writer: Connection) -> None:
    events = [event(), event(account="acct_2"), event(provider="apple")]
    assert await inbox.insert(writer, events, NOW) == 3


async def test_an_event_that_nobody_works_on_is_stored_and_not_counted(writer: Connection) -> None:
    assert await inbox.insert(writer, [event(status="ignored"), event("evt_2")], NOW) == 1
    assert await writer.fetchval("SELECT count(*) FROM inbox.event") == 2


@pytest.mark.parametrize("field", ["event_id", "type", "account", "object_id"])
async def test_a_data_error_stores_nothing_of_its_commit(writer: Connection, field: str) -> None:
    with pytest.raises(asyncpg.DataError):
        async with writer.transaction():
            await inbox.insert(writer, [event(), event("evt_2", **{field: "with\x00nul"})], NOW)
    assert await writer.fetch(EVERYTHING) == []


async def test_storing_nothing_is_no_error(writer: Connection) -> None:
    assert await inbox.insert(writer, [], NOW) == 0


@settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck))
@given(batches=st.lists(st.lists(st.sampled_from("abcdef"), max_size=8), max_size=6))
async def test_however_deliveries_repeat_and_mix_each_event_is_stored_once(
    writer: Connection, batches: list[list[str]]
) -> None:
    await writer.execute("DELETE FROM inbox.event")
    stored = [await inbox.insert(writer, [event(name) for name in batch], NOW) for batch in batches]
    distinct = {name for batch in batches for name in batch}
    assert [row["event_id"] for row in await writer.fetch(EVERYTHING)] == sorted(distinct)
    assert sum(stored) == len(distinct)


async def test_writers_with_the_same_events_in_any_order_never_wait_in_a_circle(connect: Connect) -> None:
    writers = [await connect("ingest") for _ in range(4)]
    names = [f"evt_{number:03}" for number in range(60)]

    async def write(number: int, writer: Connection) -> int:
        stored = 0
        for start in range(0, 60, 10):
            batch = [event(name) for name in names[start : start + 10]]
            async with writer.transaction():
                stored += await inbox.insert(writer, batch if number % 2 else batch[::-1], NOW)
        return stored

    counts = await asyncio.gather(*(write(number, writer) for number, writer in enumerate(writers)))
    assert sum(counts) == 60
