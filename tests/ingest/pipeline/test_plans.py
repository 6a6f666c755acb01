"""What Postgres does for the statements that join, on tables that were never analysed."""

import json

import pytest
import stripe_events as events
from ingest_bench import Ingest
from plans import touched

from mainstem.ingest.subscriptions import owners, products
from mainstem.ingest.upkeep import walk

CUSTOMERS = 300
ASKED = 50
KINDS = ["fxa_id"] * ASKED
VALUES = [f"fxa-{number}" for number in range(ASKED)]
ACCOUNTS = ["default"] * ASKED
NAMED = [f"cus_{number}" for number in range(ASKED)]
SUBSCRIPTIONS = [f"sub_{number}" for number in range(ASKED)]
ITEMS = [f"si_{number}" for number in range(ASKED)]

STATEMENTS = {
    "entries": (products.ENTRIES, ("stripe", KINDS, VALUES)),
    "owners of a walk": (walk.OWNERS, ("fxa_id", "fxa-1", ASKED)),
    "stored": (products.STORED, ("stripe", KINDS, VALUES)),
    "owners": (
        owners.write_statement("description"),
        ("stripe", ACCOUNTS, NAMED, VALUES, [None, "fxa_id"] * (ASKED // 2), VALUES),
    ),
    "customers": (owners.FIND, ("stripe", ACCOUNTS, NAMED, ACCOUNTS, SUBSCRIPTIONS, ACCOUNTS, ITEMS)),
}


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
