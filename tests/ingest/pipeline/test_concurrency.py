"""Interleavings of two workers that lose something where locks or leases are missing."""

import asyncio

import stripe_events as events
from held import Held
from ingest_bench import Ingest
from stripe_events import START

from mainstem.common.queue.lease import Lease
from mainstem.ingest.inbox import claims
from mainstem.ingest.inbox.scheduling import Queue

COMMIT = 2
"""A pipeline's transactions: the claim, then the commit of stops 4 to 6."""


async def at_once(ingest: Ingest, first: bytes, second: bytes) -> None:
    """Work off two events so that the second begins when the first has written and not committed."""
    held = Held(ingest.pool, COMMIT, before=False)
    await ingest.record(first)
    one = asyncio.create_task(ingest.pipeline(database=held, owner="worker-1").work())
    await held.reached.wait()
    await ingest.record(second)
    other = asyncio.create_task(ingest.pipeline(owner="worker-2").work())
    while not other.done() and not await is_waiting(ingest):  # noqa: ASYNC110 -- Postgres does not tell
        await asyncio.sleep(0.01)
    held.released.set()
    await asyncio.gather(one, other)


async def is_waiting(ingest: Ingest) -> bool:
    """Return whether somebody waits for an advisory lock."""
    query = (
        "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return bool(await ingest.rows(query))


async def test_two_workers_on_the_two_halves_of_a_customer_lose_no_product(ingest: Ingest) -> None:
    await at_once(
        ingest,
        events.event("customer.created", events.customer()),
        events.event("customer.subscription.created", events.subscription()),
    )
    assert await ingest.segments() == {("fxa-1", "prod_1"): "active"}
    assert await ingest.announced() == ["fxa_id:fxa-1"]


async def test_two_workers_on_the_halves_the_other_way_round_lose_no_product(ingest: Ingest) -> None:
    await at_once(
        ingest,
        events.event("customer.subscription.created", events.subscription()),
        events.event("customer.created", events.customer()),
    )
    assert await ingest.segments() == {("fxa-1", "prod_1"): "active"}


async def two_customers(ingest: Ingest) -> tuple[bytes, bytes]:
    """Return the events by which two customers, each with a subscription, take one link."""
    other = events.item("si_2", of=events.price("price_2", product="prod_2"))
    await ingest.take(
        events.event("customer.subscription.created", events.subscription()),
        events.event(
            "customer.subscription.created", events.subscription("sub_2", of="cus_2", items=[other])
        ),
    )
    return (
        events.event("customer.created", events.customer("cus_1", created=START)),
        events.event("customer.created", events.customer("cus_2", created=START + 1)),
    )


BOTH_PRODUCTS = {("fxa-1", "prod_1"): "active", ("fxa-1", "prod_2"): "active"}


async def test_two_customers_that_take_one_link_at_once_count_together(ingest: Ingest) -> None:
    first, second = await two_customers(ingest)
    await at_once(ingest, first, second)
    assert await ingest.segments() == BOTH_PRODUCTS


async def test_two_customers_count_together_whichever_of_them_is_first(ingest: Ingest) -> None:
    first, second = await two_customers(ingest)
    await at_once(ingest, second, first)
    assert await ingest.segments() == BOTH_PRODUCTS


async def test_of_two_customers_that_take_one_link_at_once_the_greater_holds_it_at_ctms(
    ingest: Ingest,
) -> None:
    await ingest.activate("ctms-1.1.0")
    first, second = await two_customers(ingest)
    await at_once(ingest, second, first)
    assert await ingest.segments() == {("fxa-1", "prod_2"): "active"}


async def test_a_subscription_that_goes_while_its_customer_moves_is_nobodys(ingest: Ingest) -> None:
    await ingest.take(
        events.event("customer.created", events.customer()),
        events.event("customer.subscription.created", events.subscription()),
    )
    gone = {"id": "sub_1", "object": "subscription", "deleted": True}
    await at_once(
        ingest,
        events.event("customer.updated", events.customer(owner="fxa-2"), at=START + 1),
        events.event("customer.subscription.updated", gone, at=START + 1),
    )
    assert await ingest.products() == []


async def test_a_claim_that_outlived_its_lease_writes_nothing(ingest: Ingest) -> None:
    await ingest.record(events.event("customer.created", events.customer()))
    held = Held(ingest.pool, COMMIT, before=True)
    slow = asyncio.create_task(ingest.pipeline(database=held, lease_seconds=0.05).work())
    await held.reached.wait()
    other = Lease("worker-2", 60)
    events_of_other: list[claims.ClaimedEvent] = []
    async with asyncio.timeout(10):
        while not events_of_other:
            async with ingest.pool.transaction() as connection:
                queue = Queue("stripe", ["default"])
                events_of_other = await claims.claim(connection, other, queue, ingest.clock.now(), 10)
    held.released.set()
    assert await slow == 1
    assert await ingest.table("customer") == []
    assert await ingest.rows("SELECT * FROM stripe.revision") == []
    (row,) = await ingest.rows("SELECT status, lease_owner FROM inbox.event")
    assert row == {"status": "received", "lease_owner": "worker-2"}


async def test_a_claim_that_outlived_its_lease_may_not_fail_the_event_either(ingest: Ingest) -> None:
    await ingest.record(events.event("customer.created", {"id": "cus_1", "object": "customer"}))
    held = Held(ingest.pool, COMMIT, before=True)
    slow = asyncio.create_task(ingest.pipeline(database=held, lease_seconds=0.05).work())
    await held.reached.wait()
    async with asyncio.timeout(10):
        while not await ingest.pipeline(owner="worker-2", failures_to_dead=1).work():
            pass
    held.released.set()
    assert await slow == 1
    (row,) = await ingest.rows("SELECT status, failures FROM inbox.event")
    assert row == {"status": "dead", "failures": 1}


async def test_what_one_worker_holds_the_other_does_not_claim(ingest: Ingest) -> None:
    await ingest.record(*(events.event("customer.created", events.customer(f"cus_{n}")) for n in range(9)))
    works = [ingest.pipeline(owner=f"worker-{number}").work() for number in range(3)]
    assert sum(await asyncio.gather(*works)) == 9
    (row,) = await ingest.rows("SELECT max(claims) AS most FROM inbox.event")
    assert row["most"] == 1
