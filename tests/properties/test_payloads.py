"""In payload mode, whatever the order, the repetitions and the split over workers, the end is the same."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import stripe_events as events
from histories import HISTORIES, newest, versions
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_bench import Ingest, empty
from properties import BOUNDED, examples

from mainstem.common.queue.lease import Lease
from mainstem.ingest.inbox import claims, replay
from mainstem.ingest.inbox.scheduling import Queue
from mainstem.ingest.pipeline.payloads import PayloadSource

End = tuple[Mapping[str, Any], Any, Any]

REVISIONS = """
SELECT revision.object_id, extract(epoch FROM valid_from)::bigint AS valid_from,
  revision.body IS NULL AS is_signed, event.body
FROM stripe.revision LEFT JOIN inbox.event ON event.id = revision.event
"""


async def revisions(ingest: Ingest) -> list[tuple[str, int, str]]:
    """Return the history, each version with the content of the event that it names."""
    rows = await ingest.rows(REVISIONS)
    assert all(row["is_signed"] for row in rows)
    return sorted(
        (
            row["object_id"],
            row["valid_from"],
            json.dumps(json.loads(row["body"])["data"]["object"], sort_keys=True),
        )
        for row in rows
    )


async def end(ingest: Ingest) -> End:
    assert set((await ingest.statuses()).values()) <= {"done"}
    return await ingest.mirror(), await ingest.products(), await revisions(ingest)


def worker(ingest: Ingest, name: str, limit: int) -> Any:
    source = PayloadSource("stripe", {"default": 0})
    source.limit = limit
    return ingest.pipeline(source, owner=name)


async def drained(ingest: Ingest, name: str, limit: int) -> None:
    while await worker(ingest, name, limit).work():
        pass


async def died(ingest: Ingest, limit: int) -> None:
    """Claim as a worker that is never heard of again; its lease has run out at once."""
    async with ingest.pool.transaction() as connection:
        queue = Queue("stripe", ["default"])
        await claims.claim(connection, Lease("dead", 0.0), queue, ingest.clock.now(), limit)


async def replayed(ingest: Ingest, every: int) -> None:
    """Have some of the events that are done worked off once more."""
    done = await ingest.rows("SELECT id FROM inbox.event WHERE status = 'done' ORDER BY id")
    async with ingest.pool.transaction() as connection:
        await replay.replay(connection, [row["id"] for row in done[::every]], ingest.clock.now())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.integers(1, 4)),
        st.tuples(st.just("work"), st.integers(1, 4)),
        st.tuples(st.just("work at once"), st.integers(1, 2)),
        st.tuples(st.just("die"), st.integers(1, 3)),
        st.tuples(st.just("replay"), st.integers(1, 3)),
    ),
    max_size=8,
)


async def taken(ingest: Ingest, arrivals: Sequence[bytes], steps: Sequence[tuple[str, int]]) -> None:
    """Let the events arrive and be worked off as the steps say, and then the rest of them."""
    waiting = list(arrivals)
    for step, number in steps:
        if step == "record":
            await ingest.record(*waiting[:number])
            del waiting[:number]
        elif step == "work":
            await worker(ingest, "alone", number).work()
        elif step == "work at once":
            await asyncio.gather(*(worker(ingest, f"worker-{n}", number).work() for n in range(3)))
        elif step == "die":
            await died(ingest, number)
        elif step == "replay":
            await replayed(ingest, number)
    await ingest.record(*waiting)
    await asyncio.gather(*(drained(ingest, f"worker-{n}", 2) for n in range(2)))


async def expected(ingest: Ingest, signed: Sequence[bytes]) -> End:
    """Return where the events lead if each comes alone, in order, to one worker."""
    await empty(ingest)
    for body in signed:
        await ingest.take(body)
    return await end(ingest)


@settings(BOUNDED, max_examples=examples(40))
@given(data=st.data(), signed=HISTORIES, steps=STEPS)
async def test_any_order_repetition_and_split_ends_the_same(
    ingest: Ingest, data: st.DataObject, signed: list[bytes], steps: list[tuple[str, int]]
) -> None:
    again = data.draw(st.lists(st.sampled_from(range(len(signed))), max_size=4), label="again")
    arrivals = data.draw(st.permutations([*range(len(signed)), *again]), label="arrivals")
    in_order = await expected(ingest, signed)
    await empty(ingest)
    await taken(ingest, [signed[number] for number in arrivals], steps)
    assert await end(ingest) == in_order


@settings(BOUNDED, max_examples=examples(40))
@given(data=st.data(), signed=HISTORIES)
async def test_the_end_is_the_newest_of_each_object_and_every_version_once(
    ingest: Ingest, data: st.DataObject, signed: list[bytes]
) -> None:
    await empty(ingest)
    arrivals = data.draw(st.permutations(range(len(signed))), label="arrivals")
    await taken(ingest, [signed[number] for number in arrivals], ())
    mirror = await ingest.mirror()
    for one, about in newest(signed).items():
        (row,) = [row for row in mirror[about["object"]] if row["id"] == one]
        assert {name: row[name] for name in ("status", "description", "active") if name in row} == {
            name: about[name] for name in ("status", "description", "active") if name in about
        }
    items = {row["id"] for row in mirror["subscription_item"]}
    subscriptions = [about for about in newest(signed).values() if about["object"] == "subscription"]
    assert items == {item["id"] for one in subscriptions for item in one["items"]["data"]}
    found = await revisions(ingest)
    assert set(found) == versions(signed)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("workers", [1, 3])
async def test_a_worker_that_dies_again_and_again_loses_nothing(ingest: Ingest, workers: int) -> None:
    await empty(ingest)
    await ingest.record(*(events.event("customer.created", events.customer(f"cus_{n}")) for n in range(9)))
    for _ in range(5):
        await died(ingest, 4)
    await asyncio.gather(*(drained(ingest, f"worker-{n}", 4) for n in range(workers)))
    assert len(await ingest.table("customer")) == 9
    assert set((await ingest.statuses()).values()) == {"done"}
