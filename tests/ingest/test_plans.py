"""What Postgres does for the statements that join, on tables that were never analysed."""

import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
import stripe_events as events
from ingest_bench import Ingest
from servers import Database

from mainstem.common.lease import IN_ORDER, Lease
from mainstem.ingest import inbox, owners, products

CUSTOMERS = 300
ASKED = 50
KINDS = ["fxa_id"] * ASKED
VALUES = [f"fxa-{number}" for number in range(ASKED)]
ACCOUNTS = ["default"] * ASKED
NAMED = [f"cus_{number}" for number in range(ASKED)]
SUBSCRIPTIONS = [f"sub_{number}" for number in range(ASKED)]

STATEMENTS = {
    "entries": (products.ENTRIES, ("stripe", KINDS, VALUES)),
    "stored": (products.STORED, ("stripe", KINDS, VALUES)),
    "customers": (owners.FIND, ("stripe", ACCOUNTS, NAMED, ACCOUNTS, SUBSCRIPTIONS)),
}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def touched(plan: dict[str, Any]) -> Any:
    """Return how many rows a plan's steps looked at, those included that they threw away."""
    return sum(
        node["Actual Loops"]
        * (
            node["Actual Rows"]
            + node.get("Rows Removed by Filter", 0)
            + node.get("Rows Removed by Join Filter", 0)
        )
        for node in nodes(plan)
    )


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_statement_looks_at_what_it_was_asked_for_and_not_at_everything(
    ingest: Ingest, name: str
) -> None:
    for number in range(CUSTOMERS):
        await ingest.record(
            events.event("customer.created", events.customer(f"cus_{number}", owner=f"fxa-{number}")),
            events.event(
                "customer.subscription.created",
                events.subscription(f"sub_{number}", of=f"cus_{number}", items=[events.item(f"si_{number}")]),
            ),
        )
    await ingest.work_off()
    assert len(await ingest.products()) == CUSTOMERS
    statement, values = STATEMENTS[name]
    async with ingest.pool.transaction() as connection:
        answer = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *values)
    # A few steps for each of fifty; reading all for each would be tens of thousands.
    assert touched(json.loads(answer)[0]["Plan"]) < 30 * ASKED


@pytest.mark.parametrize("is_old", [False, True], ids=["planned now", "planned when there was nothing"])
async def test_a_claim_looks_at_what_it_takes_and_not_at_the_backlog(
    ingest: Ingest, database: Database, is_old: bool
) -> None:
    values = (
        f"'worker', '{Lease('', 0).token}', '60 s', 'stripe', '{{default}}', '{ingest.clock.now()}', {ASKED}"
    )
    bodies = [events.event("customer.created", events.customer(f"cus_{number}")) for number in range(2_000)]
    owner = await asyncpg.connect(database.url)
    # A table of which nothing is known is taken for one that has some rows.
    await owner.execute("TRUNCATE inbox.event")
    await owner.execute("VACUUM ANALYZE inbox.event")
    await owner.close()
    if not is_old:
        await ingest.record(*bodies)
    async with ingest.pool.transaction() as connection:
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.execute(f"{IN_ORDER}; PREPARE claiming AS {inbox.CLAIM}; EXECUTE claiming({values})")
        if is_old:
            await ingest.record(*bodies)
        answer = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE claiming({values})")
        await connection.execute("DEALLOCATE claiming")
    assert touched(json.loads(answer)[0]["Plan"]) < 30 * ASKED
