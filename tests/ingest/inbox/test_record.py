import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import asyncpg
import pytest
import stripe_events as events
from held import Failing, Held
from ingest_bench import Ingest, new_event

from mainstem.common.database.pool import Statements
from mainstem.common.errors import BadRequestError, UnavailableError
from mainstem.ingest.inbox import record
from mainstem.ingest.inbox.record import Recorder, open_recorder


def customer(number: int) -> bytes:
    return events.event("customer.created", events.customer(f"cus_{number}"))


@asynccontextmanager
async def recorder(ingest: Ingest, database: Statements | None = None) -> AsyncIterator[Recorder]:
    """Open a recorder that says in `ingest.woken` when it woke the workers."""
    async with open_recorder(
        database or ingest.pool, ingest.clock, lambda: ingest.woken.append("ingest")
    ) as opened:
        yield opened


async def commits(ingest: Ingest) -> int:
    (row,) = await ingest.rows("SELECT count(DISTINCT xmin::text) AS commits FROM inbox.event")
    return int(row["commits"])


async def ids(ingest: Ingest) -> list[str]:
    return [row["object_id"] for row in await ingest.rows("SELECT object_id FROM inbox.event ORDER BY 1")]


async def test_what_waits_while_a_commit_runs_shares_the_next_one(ingest: Ingest) -> None:
    held = Held(ingest.pool, 1, before=False)
    async with recorder(ingest, held) as opened:
        first = asyncio.create_task(opened.record(new_event(customer(0))))
        await held.reached.wait()
        others = [asyncio.create_task(opened.record(new_event(customer(n)))) for n in range(1, 200)]
        await asyncio.sleep(0)
        held.released.set()
        await asyncio.gather(first, *others)
    assert len(await ids(ingest)) == 200
    assert await commits(ingest) == 2
    assert ingest.woken == ["ingest"] * 2


async def test_the_worker_is_woken_after_the_commit_and_only_for_work(ingest: Ingest) -> None:
    held = Held(ingest.pool, 1, before=False)
    async with recorder(ingest, held) as opened:
        storing = asyncio.create_task(opened.record(new_event(customer(0))))
        await held.reached.wait()
        assert ingest.woken == []
        held.released.set()
        await storing
        assert ingest.woken == ["ingest"]
        await opened.record(new_event(customer(0)))
        await opened.record(new_event(events.event("balance.available", {"object": "balance"})))
        assert ingest.woken == ["ingest"]


async def test_a_caller_that_goes_away_does_not_cancel_the_others(ingest: Ingest) -> None:
    held = Held(ingest.pool, 1, before=False)
    async with recorder(ingest, held) as opened:
        calls = [asyncio.create_task(opened.record(new_event(customer(n)))) for n in range(3)]
        await held.reached.wait()
        calls[0].cancel()
        calls[1].cancel()
        held.released.set()
        await asyncio.wait_for(calls[2], 5)
        for call in calls[:2]:
            with suppress(asyncio.CancelledError):
                await call
        await opened.record(new_event(customer(3)))
    assert await ids(ingest) == [f"cus_{n}" for n in range(4)]


async def test_an_event_that_cannot_be_stored_fails_alone(ingest: Ingest) -> None:
    bad = replace(new_event(customer(1)), type="customer.\0")
    held = Held(ingest.pool, 1, before=True)
    async with recorder(ingest, held) as opened:
        first = asyncio.create_task(opened.record(new_event(customer(0))))
        await held.reached.wait()
        calls = [
            opened.record(new_event(customer(2))),
            opened.record(bad),
            opened.record(new_event(customer(3))),
        ]
        waiting = asyncio.gather(*calls, return_exceptions=True)
        await asyncio.sleep(0)
        held.released.set()
        await first
        good, refused, also_good = await waiting
    assert good is None
    assert also_good is None
    assert isinstance(refused, BadRequestError)
    assert await ids(ingest) == ["cus_0", "cus_2", "cus_3"]


async def test_the_same_event_twice_in_one_commit_is_stored_once(ingest: Ingest) -> None:
    async with recorder(ingest) as opened:
        await asyncio.gather(*(opened.record(new_event(customer(0))) for _ in range(5)))
    assert await ids(ingest) == ["cus_0"]


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(), asyncpg.CannotConnectNowError(), TimeoutError(), RuntimeError()]
)
async def test_whatever_goes_wrong_the_caller_hears_it_and_the_next_is_stored(
    ingest: Ingest, error: Exception
) -> None:
    async with recorder(ingest, Failing(ingest.pool, {1: error})) as opened:
        with pytest.raises(UnavailableError) as caught:
            await opened.record(new_event(customer(0)))
        assert int(caught.value.headers["Retry-After"]) > 0
        await opened.record(new_event(customer(1)))
    assert await ids(ingest) == ["cus_1"]


async def test_what_is_too_much_to_hold_is_sent_away(ingest: Ingest) -> None:
    held = Held(ingest.pool, 1, before=True)
    async with recorder(ingest, held) as opened:
        big = replace(new_event(customer(0)), body=b" " * (record.WAITING_BYTES - 1))
        first = asyncio.create_task(opened.record(big))
        await held.reached.wait()
        with pytest.raises(UnavailableError):
            await opened.record(new_event(customer(1)))
        first.cancel()
        held.released.set()
        with suppress(asyncio.CancelledError):
            await first


async def test_at_the_end_whoever_waits_is_told(ingest: Ingest) -> None:
    held = Held(ingest.pool, 1, before=True)
    async with recorder(ingest, held) as opened:
        calls = [asyncio.create_task(opened.record(new_event(customer(n)))) for n in range(2)]
        await held.reached.wait()
        late = asyncio.create_task(opened.record(new_event(customer(9))))
        await asyncio.sleep(0)
    for call in (*calls, late):
        with pytest.raises(UnavailableError):
            await asyncio.wait_for(call, 5)
