"""Of objects that come without an event around them, the last that was recorded wins."""

import asyncio
import json
from collections.abc import Sequence

import stripe_events as events
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_bench import Ingest, empty
from properties import BOUNDED, examples
from stripe_events import Json

from mainstem.common.queue.inbox import insert
from mainstem.ingest.doors.objects import _new_event
from mainstem.ingest.inbox import replay
from mainstem.ingest.pipeline.payloads import PayloadSource
from mainstem.ingest.providers.stripe.bare_objects import read_bare


async def record(ingest: Ingest, *objects: Json) -> None:
    """Record the objects in one commit, as the door does with what comes at once."""
    bodies = [json.dumps(one).encode() for one in objects]
    async with ingest.pool.transaction() as connection:
        new = [_new_event(read_bare(body), body) for body in bodies]
        await insert(connection, new, ingest.clock.now())


def shown(one: str, version: int) -> Json:
    """Return an object in one of a few states, to some of which it may come back."""
    if one.startswith("cus"):
        return events.customer(one, owner=f"fxa-{version}")
    if one.startswith("in"):
        return events.invoice(one, status="paid" if version else "open", total=version)
    items = [events.item(f"si_{one}_{number}", subscription=one) for number in range(version)]
    return events.subscription(one, status="active" if version else "past_due", items=items)


OBJECTS = st.builds(shown, st.sampled_from(["cus_1", "sub_1", "sub_2", "in_1"]), st.integers(0, 2))
ARRIVALS = st.lists(st.lists(OBJECTS, min_size=1, max_size=5), min_size=1, max_size=5)


async def worked_off(ingest: Ingest, name: str) -> None:
    source = PayloadSource("stripe", {"default": 0})
    source.limit = 2
    pipeline = ingest.pipeline(source, owner=name)
    while await pipeline.work():
        pass


async def stored(ingest: Ingest) -> dict[str, tuple[object, ...]]:
    customers, bills = await ingest.table("customer"), await ingest.table("invoice")
    found: dict[str, tuple[object, ...]] = {row["id"]: (row["description"],) for row in customers}
    found |= {row["id"]: (row["status"], row["total"]) for row in bills}
    items = await ingest.table("subscription_item")
    for row in await ingest.table("subscription"):
        own = sorted(item["id"] for item in items if item["subscription"] == row["id"])
        found[row["id"]] = (row["status"], *own)
    return found


def last_of(objects: Sequence[Json]) -> dict[str, tuple[object, ...]]:
    """Return the last state of each object, as `stored` shows it."""
    last: dict[str, tuple[object, ...]] = {}
    for one in objects:
        if one["object"] == "customer":
            last[one["id"]] = (one["description"],)
        elif one["object"] == "invoice":
            last[one["id"]] = (one["status"], one["total"])
        else:
            last[one["id"]] = (one["status"], *sorted(item["id"] for item in one["items"]["data"]))
    return last


@settings(BOUNDED, max_examples=examples(40))
@given(arrivals=ARRIVALS, replays=st.booleans(), workers=st.integers(1, 3))
async def test_whoever_works_them_off_the_last_recorded_wins(
    ingest: Ingest, arrivals: list[list[Json]], replays: bool, workers: int
) -> None:
    await empty(ingest)
    for number, objects in enumerate(arrivals):
        await record(ingest, *objects)
        if number % 2:
            await worked_off(ingest, "early")
    await asyncio.gather(*(worked_off(ingest, f"worker-{n}") for n in range(workers)))
    if replays:
        rows = await ingest.rows("SELECT id FROM inbox.event")
        async with ingest.pool.transaction() as connection:
            await replay.replay(connection, [row["id"] for row in rows], ingest.clock.now())
        await worked_off(ingest, "again")
    assert await stored(ingest) == last_of([one for objects in arrivals for one in objects])


async def test_a_state_that_comes_back_is_an_event_of_its_own(ingest: Ingest) -> None:
    await empty(ingest)
    for version in (1, 2, 1):
        await record(ingest, shown("cus_1", version))
        await worked_off(ingest, "worker")
    assert await stored(ingest) == {"cus_1": ("fxa-1",)}


async def test_of_many_that_were_recorded_at_one_instant_the_last_wins(ingest: Ingest) -> None:
    await empty(ingest)
    await record(ingest, *(shown("cus_1", version) for version in range(120)))
    await worked_off(ingest, "worker")
    assert await stored(ingest) == {"cus_1": ("fxa-119",)}
