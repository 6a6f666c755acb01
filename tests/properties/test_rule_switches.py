"""In any interleaving of commits, switches, steps of walks and crashes the newest set derives everyone."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import stripe_events as events
from histories import HISTORIES
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_bench import Ingest, empty
from properties import BOUNDED, examples

from mainstem.common.database.pool import Connection, Pool
from mainstem.ingest.pipeline.payloads import PayloadSource
from mainstem.ingest.subscriptions.language import RuleSet
from mainstem.ingest.subscriptions.sets import CTMS, MAINSTEM
from mainstem.ingest.subscriptions.storage import activate, find_active, understand
from mainstem.ingest.upkeep.comparison import compare
from mainstem.ingest.upkeep.walk import Walk

THIRD = msgspec.structs.replace(CTMS, name="third", sub_count="subscriptions", latest="holds")
RULES = (CTMS, MAINSTEM, THIRD)

MIXED = """
SELECT FROM subscription.product_subscription
GROUP BY owner_kind, owner_value HAVING count(DISTINCT rules) > 1
"""
NAMES = "SELECT DISTINCT rules FROM subscription.product_subscription"

STATUSES = ("active", "trialing", "canceled", "incomplete_expired")
SUBSCRIBED = [
    body
    for number, status in enumerate(STATUSES)
    for body in (
        events.event(
            "customer.created",
            events.customer(f"cus_s{number}", owner=f"fxa-{number}"),
            one=f"evt_c{number}",
        ),
        events.event(
            "customer.subscription.created",
            events.subscription(
                f"sub_s{number}", of=f"cus_s{number}", items=[events.item(f"si_s{number}")], status=status
            ),
            one=f"evt_s{number}",
        ),
    )
]
"""Owners of whom the sets conclude different things; two of them are those of the histories."""

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.integers(1, 4)),
        st.tuples(st.just("work"), st.integers(1, 4)),
        st.tuples(st.just("activate"), st.sampled_from(RULES)),
        st.tuples(st.just("walk"), st.integers(1, 2)),
        st.tuples(st.just("crash"), st.integers(1, 2)),
        st.tuples(st.just("at once"), st.sampled_from(RULES)),
    ),
    min_size=1,
    max_size=12,
)


class CrashError(Exception):
    """The process ended just before its commit."""


class Crashing:
    """Transactions that end with their process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with self._pool.transaction() as connection:
            yield connection
            raise CrashError


async def switch(ingest: Ingest, rules: RuleSet) -> None:
    async with ingest.pool.transaction() as connection:
        await activate(connection, rules, ingest.clock.now())


async def work(ingest: Ingest, limit: int) -> None:
    source = PayloadSource("stripe", {"default": 0})
    source.limit = limit
    await ingest.pipeline(source).work()


async def crash(ingest: Ingest, batch: int) -> None:
    try:
        await Walk("stripe", Crashing(ingest.pool), ingest.clock, batch).step()
    except CrashError:
        return
    raise AssertionError


async def take(ingest: Ingest, step: str, value: Any, waiting: list[bytes]) -> None:
    walk = Walk("stripe", ingest.pool, ingest.clock, 1)
    if step == "record":
        await ingest.record(*waiting[:value])
        del waiting[:value]
    elif step == "work":
        await work(ingest, value)
    elif step == "activate":
        await switch(ingest, value)
    elif step == "walk":
        await Walk("stripe", ingest.pool, ingest.clock, value).step()
    elif step == "crash":
        await crash(ingest, value)
    else:
        await asyncio.gather(
            work(ingest, 2),
            walk.step(),
            switch(ingest, value),
            work(ingest, 3),
            walk.step(),
            crash(ingest, 1),
        )


@settings(BOUNDED, max_examples=examples(60))
@given(signed=HISTORIES, steps=STEPS)
async def test_every_owner_ends_derived_by_the_newest_set_and_none_is_ever_a_mixture(
    ingest: Ingest, signed: list[bytes], steps: Sequence[tuple[str, Any]]
) -> None:
    await empty(ingest)
    await ingest.take(*SUBSCRIBED)
    waiting = list(signed)
    for step, value in steps:
        await take(ingest, step, value, waiting)
        assert await ingest.rows(MIXED) == []
    await ingest.record(*waiting)
    await asyncio.gather(ingest.work_off(), ingest.walk())
    await ingest.walk()
    async with ingest.pool.transaction() as connection:
        active = understand(await find_active(connection))
    assert {row["rules"] for row in await ingest.rows(NAMES)} == {active.name}
    assert [one async for _, some in compare(ingest.pool, "stripe", active) for one in some] == []
