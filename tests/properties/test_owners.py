"""Owners as written down: those of the mirror, in whatever order and batches copies of customers came."""

from collections.abc import Sequence
from typing import Any

import pytest
import stripe_events as events
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ingest_bench import Ingest, empty
from properties import examples
from stripe_events import START

from mainstem.common.owner import LONGEST, rule

VALUES = [None, "", "Fxa-1", "fxa-1", "fxa-2", "x" * LONGEST, "x" * (LONGEST + 1)]
RULES = ("customer.description:fxa_id", "customer.email:email", "customer.metadata.user:fxa_id")

COPY = st.tuples(
    st.sampled_from(["cus_1", "cus_2"]), st.sampled_from(VALUES), st.integers(0, 3), st.booleans()
)
"""A copy of a customer: its id, the value that names its owner, its time, and whether it is deleted."""
BATCHES = st.lists(st.lists(COPY, min_size=1, max_size=4), min_size=1, max_size=4)

Copy = tuple[str, str | None, int, bool]


def event_of(copy: Copy) -> bytes:
    customer_id, value, at, is_deleted = copy
    customer = events.customer(
        customer_id,
        owner=value,
        email=value,
        metadata={} if value is None else {"user": value},
        created=START + at,
    )
    return events.event("customer.deleted" if is_deleted else "customer.updated", customer, at=START + at)


def tombstone(customer_id: str, at: int) -> bytes:
    gone = {"id": customer_id, "object": "customer", "deleted": True}
    return events.event("customer.updated", gone, at=START + at)


async def list_named(ingest: Ingest, link: str) -> list[dict[str, Any]]:
    """Return the owners that the mirror's customers name, as rows."""
    rows = []
    for row in await ingest.table("customer"):
        named = rule(link).link(row)
        if named is not None:
            known = {"account": row["account"], "customer": row["id"], "created": row["created"]}
            rows.append({"provider": "stripe", **known, "kind": named.kind, "value": named.value})
    return rows


@pytest.mark.parametrize("link", RULES)
@settings(
    max_examples=examples(10),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(batches=[[("cus_1", "fxa-2", 3, False)], [("cus_1", "fxa-1", 1, False)]])
@example(batches=[[("cus_1", "fxa-1", 1, False), ("cus_1", "fxa-2", 3, False)]])
@example(batches=[[("cus_1", "fxa-1", 1, False)], [("cus_1", None, 3, False), ("cus_1", "fxa-2", 2, False)]])
@given(batches=BATCHES)
async def test_copies_of_customers_in_any_order_leave_the_owners_that_the_mirror_names(
    ingest: Ingest, link: str, batches: Sequence[Sequence[Copy]]
) -> None:
    await empty(ingest)
    for batch in batches:
        await ingest.record(*(event_of(copy) for copy in batch))
        await ingest.pipeline(link=link).work()
    owners = await ingest.rows("SELECT * FROM subscription.owner ORDER BY account, customer")
    assert owners == await list_named(ingest, link)


@pytest.mark.parametrize("is_first", [True, False])
async def test_tombstone_beside_a_newer_owner_leaves_the_owner_that_the_mirror_names(
    ingest: Ingest, is_first: bool
) -> None:
    await empty(ingest)
    copies = [event_of(("cus_1", "fxa-2", 1, False)), tombstone("cus_1", 2)]
    await ingest.take(event_of(("cus_1", "fxa-1", 0, False)))
    await ingest.take(*copies[:: 1 if is_first else -1])
    (owner,) = await ingest.rows("SELECT value, created FROM subscription.owner")
    assert (owner["value"], owner["created"].timestamp()) == ("fxa-2", START + 1)
