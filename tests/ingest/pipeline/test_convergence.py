"""In payload mode the end is the same, in whatever order and however often events come."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
import stripe_events as events
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_bench import Ingest, empty
from properties import examples
from stripe_events import START

from mainstem.ingest.pipeline.payloads import PayloadSource

End = tuple[Mapping[str, list[dict[str, Any]]], list[dict[str, Any]]]

CHEAP = events.price(active=True)
SOLD_OUT = events.price(active=False)
OTHER = events.price("price_2", product="prod_2")

EVENTS = (
    events.event("customer.created", events.customer()),
    events.event("customer.updated", events.customer(owner="fxa-2"), at=START + 5),
    events.event("customer.deleted", events.customer(owner="fxa-2"), at=START + 9),
    events.event(
        "customer.created", events.customer("cus_2", owner="fxa-2", created=START + 1), at=START + 1
    ),
    events.event("customer.subscription.created", events.subscription(status="incomplete"), one="evt_z"),
    events.event("customer.subscription.updated", events.subscription(), one="evt_a"),
    events.event("customer.subscription.updated", events.subscription(status="past_due"), one="evt_b"),
    events.event(
        "customer.subscription.updated",
        events.subscription(items=[events.item(of=CHEAP), events.item("si_2", of=OTHER)]),
        at=START + 3,
    ),
    events.event("price.updated", SOLD_OUT, at=START + 5),
    events.event(
        "customer.subscription.deleted",
        events.subscription(status="canceled", ended_at=START + 9, items=[events.item(of=SOLD_OUT)]),
        at=START + 9,
    ),
    events.event(
        "customer.subscription.created",
        events.subscription("sub_2", of="cus_2", items=[events.item("si_3", of=OTHER)]),
        at=START + 1,
    ),
    events.event("invoice.finalized", events.invoice(status="open"), one="evt_z_final"),
    events.event("invoice.paid", events.invoice(), one="evt_a_paid"),
)

ORDERS = st.permutations(range(len(EVENTS))).flatmap(
    lambda order: st.lists(st.integers(0, len(EVENTS) - 1), max_size=4).map(lambda again: [*order, *again])
)
CUTS = st.sets(st.integers(1, len(EVENTS) - 1), max_size=4)


def batches(order: Sequence[int], cuts: set[int]) -> list[list[bytes]]:
    edges = [0, *sorted(cuts), len(order)]
    return [[EVENTS[n] for n in order[start:end]] for start, end in pairwise(edges)]


FEW = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
async def expected(ingest: Ingest) -> End:
    """Where the events lead if they come one by one and in order."""
    for body in EVENTS:
        await ingest.take(body)
    return await ingest.mirror(), await ingest.products()


def test_the_end_is_worth_comparing(expected: End) -> None:
    mirror, products = expected
    assert all(mirror[name] for name in mirror if name != "product")
    assert {(row["product_id"], row["segment"]) for row in products} == {
        ("prod_1", "canceled"),
        ("prod_2", "active"),
    }


@settings(FEW, max_examples=examples(20))
@given(order=ORDERS, cuts=CUTS)
async def test_any_order_and_repetition_ends_in_the_same_mirror_and_products(
    ingest: Ingest, expected: End, order: list[int], cuts: set[int]
) -> None:
    await empty(ingest)
    for batch in batches(order, cuts):
        await ingest.take(*batch)
    assert (await ingest.mirror(), await ingest.products()) == expected


@settings(FEW, max_examples=examples(8))
@given(order=ORDERS)
async def test_so_it_does_with_three_workers_at_once(ingest: Ingest, expected: End, order: list[int]) -> None:
    await empty(ingest)
    for number in order:
        await ingest.record(EVENTS[number])
    await asyncio.gather(*(drained(ingest, f"worker-{number}") for number in range(3)))
    assert (await ingest.mirror(), await ingest.products()) == expected


async def drained(ingest: Ingest, owner: str) -> None:
    """Work off whatever there is, three events at a time."""
    source = PayloadSource("stripe", {"default": 0})
    source.limit = 3
    pipeline = ingest.pipeline(source, owner=owner)
    while await pipeline.work():
        pass
