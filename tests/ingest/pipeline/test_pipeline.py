import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import stripe_events as events
from held import Failing
from ingest_bench import Ingest
from stripe_events import START

from mainstem.ingest.inbox import replay
from mainstem.ingest.inbox.claims import ClaimedEvent, Failure
from mainstem.ingest.pipeline.payloads import PayloadSource
from mainstem.ingest.pipeline.reading import Reading


def poison(one: str = "cus_poison") -> bytes:
    """Return an event that parses, and that no text column takes."""
    return events.event("customer.created", events.customer(one, name="\0"))


class Watched(PayloadSource):
    """A source that remembers which events came together."""

    def __init__(self) -> None:
        super().__init__("stripe", {"default": 0})
        self.batches: list[list[str]] = []

    async def read(self, events: Sequence[ClaimedEvent]) -> tuple[list[Reading], list[Failure]]:
        self.batches.append([event.event_id for event in events])
        return await super().read(events)


async def test_a_subscription_travels_from_the_inbox_to_the_outbox(ingest: Ingest) -> None:
    await ingest.record(
        events.event("customer.created", events.customer()),
        events.event("customer.subscription.created", events.subscription()),
        events.event("invoice.paid", events.invoice()),
        events.event("product.created", events.product()),
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    )
    await ingest.work_off()
    (row,) = await ingest.products()
    assert (row["segment"], row["sub_count"], row["status"]) == ("active", 1, "active")
    assert (row["owner_kind"], row["owner_value"], row["product_id"]) == ("fxa_id", "fxa-1", "prod_1")
    assert (row["price_id"], row["currency"], row["amount"]) == ("price_1", "usd", 999)
    assert await ingest.announced() == ["fxa_id:fxa-1"]
    assert ingest.woken == ["sync"]
    assert set((await ingest.statuses()).values()) == {"done"}
    (entry,) = await ingest.rows("SELECT * FROM outbox.entry")
    assert entry["traceparent"].startswith("00-aaaa")
    assert len(await ingest.rows("SELECT * FROM stripe.revision")) == 4


async def test_what_changes_nothing_is_not_announced(ingest: Ingest) -> None:
    await ingest.take(
        events.event("customer.created", events.customer()),
        events.event("customer.subscription.created", events.subscription()),
    )
    metadata = events.subscription(metadata={"a": "b"})
    await ingest.take(events.event("customer.subscription.updated", metadata, at=START + 1))
    assert await ingest.announced() == ["fxa_id:fxa-1"]
    assert json.loads((await ingest.table("subscription"))[0]["metadata"]) == {"a": "b"}


async def test_a_customer_may_come_after_its_subscription(ingest: Ingest) -> None:
    await ingest.take(events.event("customer.subscription.created", events.subscription()))
    assert await ingest.products() == []
    await ingest.take(events.event("customer.created", events.customer()))
    assert await ingest.segments() == {("fxa-1", "prod_1"): "active"}
    assert await ingest.announced() == ["fxa_id:fxa-1"]


async def test_a_product_that_vanishes_is_deleted_and_announced(ingest: Ingest) -> None:
    other = events.item("si_2", of=events.price("price_2", product="prod_2"))
    await ingest.take(
        events.event("customer.created", events.customer()),
        events.event("customer.subscription.created", events.subscription(items=[events.item(), other])),
    )
    await ingest.take(events.event("customer.subscription.updated", events.subscription(), at=START + 1))
    assert await ingest.segments() == {("fxa-1", "prod_1"): "active"}
    assert await ingest.announced() == ["fxa_id:fxa-1"] * 2


async def test_a_poison_event_dies_with_its_reason_and_is_never_in_the_way(ingest: Ingest) -> None:
    await ingest.record(
        events.event("customer.created", events.customer("cus_1")),
        poison(),
        events.event("customer.created", events.customer("cus_2")),
    )
    for _ in range(3):
        await ingest.work_off()
        assert [row["id"] for row in await ingest.table("customer")] == ["cus_1", "cus_2"]
        ingest.clock.move(hours=1)
    (row,) = await ingest.rows("SELECT * FROM inbox.event WHERE status = 'dead'")
    assert (row["object_id"], row["failures"], row["lease_token"]) == ("cus_poison", 3, None)
    assert "(22" in row["last_error"]


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"id": "cus_1", "object": "customer"}, "missing required field"),
        (events.customer() | {"created": "yesterday"}, "Expected `int`"),
        (events.subscription() | {"id": "cus_1"}, "something else came"),
    ],
)
async def test_an_object_that_breaks_the_mirror_dies_with_its_reason(
    ingest: Ingest, about: Any, reason: str
) -> None:
    await ingest.record(events.event("customer.updated", about))
    for _ in range(3):
        await ingest.work_off()
        ingest.clock.move(hours=1)
    (row,) = await ingest.rows("SELECT status, last_error FROM inbox.event")
    assert row["status"] == "dead"
    assert reason in row["last_error"]


async def test_a_failure_waits_longer_each_time(ingest: Ingest) -> None:
    await ingest.record(poison())
    waits = []
    for _ in range(2):
        await ingest.work_off()
        (row,) = await ingest.rows("SELECT due_at FROM inbox.event")
        waits.append(row["due_at"] - ingest.clock.now())
        ingest.clock.time = row["due_at"]
    assert timedelta(seconds=1) <= waits[0] < timedelta(seconds=2) < waits[1]


async def test_a_redelivery_revives_a_dead_event_and_no_other(ingest: Ingest) -> None:
    good = events.event("customer.created", events.customer())
    await ingest.take(good)
    await ingest.record(poison())
    pipeline = ingest.pipeline(failures_to_dead=1)
    await pipeline.work()
    await ingest.record(poison(), good)
    assert set((await ingest.statuses()).values()) == {"received", "done"}
    (row,) = await ingest.rows(
        "SELECT failures, claims, last_error FROM inbox.event WHERE status = 'received'"
    )
    assert row == {"failures": 0, "claims": 0, "last_error": None}


async def test_live_work_goes_before_retries(ingest: Ingest) -> None:
    source = Watched()
    await ingest.record(poison())
    await ingest.pipeline(source).work()
    ingest.clock.move(hours=1)
    live = events.event("customer.created", events.customer())
    await ingest.record(live)
    source.limit = 1
    await ingest.pipeline(source).work()
    assert source.batches[-1] == ["evt_customer.created_cus_1_1700000000"]


async def test_an_event_whose_claims_came_to_nothing_runs_alone(ingest: Ingest) -> None:
    await ingest.record(*(events.event("customer.created", events.customer(f"cus_{n}")) for n in range(3)))
    async with ingest.pool.transaction() as connection:
        await connection.execute("UPDATE inbox.event SET claims = 3 WHERE object_id = 'cus_1'")
    source = Watched()
    assert await ingest.pipeline(source).work() == 3
    assert [len(batch) for batch in source.batches] == [2, 1]
    assert set((await ingest.statuses()).values()) == {"done"}


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.ConnectionDoesNotExistError("connection was closed"),
        asyncpg.InterfaceError("the connection is closed"),
        # What a connection says on which Postgres said farewell between two statements.
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_connection_that_breaks_costs_no_failure_and_no_claim(
    ingest: Ingest, error: Exception
) -> None:
    await ingest.record(events.event("customer.created", events.customer()))
    broken = Failing(ingest.pool, {2: error})
    with pytest.raises(type(error)):
        await ingest.pipeline(database=broken).work()
    (row,) = await ingest.rows("SELECT claims, failures, lease_token FROM inbox.event")
    assert row == {"claims": 0, "failures": 0, "lease_token": None}
    assert await ingest.table("customer") == []
    await ingest.work_off()
    assert len(await ingest.table("customer")) == 1


async def test_a_deadlock_is_tried_again_at_once(ingest: Ingest) -> None:
    await ingest.record(events.event("customer.created", events.customer()))
    broken = Failing(
        ingest.pool, {2: asyncpg.DeadlockDetectedError("deadlock"), 3: asyncpg.SerializationError("late")}
    )
    await ingest.pipeline(database=broken).work()
    (row,) = await ingest.rows("SELECT status, failures FROM inbox.event")
    assert row == {"status": "done", "failures": 0}


async def test_ignored_events_are_never_claimed(ingest: Ingest) -> None:
    await ingest.record(
        events.event("balance.available", {"object": "balance"}),
        events.event("customer.discount.created", {"id": "di_1", "object": "discount"}),
        events.event("invoice.upcoming", {"object": "invoice"}),
    )
    assert await ingest.pipeline().work() == 0
    assert set((await ingest.statuses()).values()) == {"ignored"}


async def test_accounts_do_not_mix(ingest: Ingest) -> None:
    for account in ("default", "other"):
        await ingest.take(
            events.event("customer.created", events.customer(owner=f"fxa-{account}")),
            events.event("customer.subscription.created", events.subscription()),
            account=account,
        )
    assert set(await ingest.segments()) == {("fxa-default", "prod_1"), ("fxa-other", "prod_1")}


async def test_the_commands_list_dead_events_and_replay_them(ingest: Ingest) -> None:
    await ingest.record(poison(), events.event("customer.created", events.customer()))
    await ingest.pipeline(failures_to_dead=1).work()
    async with ingest.pool.transaction() as connection:
        (dead,) = await replay.list_events(connection, "dead")
        assert dead["last_error"]
        ids = [row["id"] for row in await connection.fetch("SELECT id FROM inbox.event")]
        assert await replay.replay(connection, [*ids, 999], ingest.clock.now()) == sorted(ids)
    assert await ingest.pipeline().work() == 2


async def test_a_replay_changes_nothing(ingest: Ingest) -> None:
    await ingest.take(
        events.event("customer.created", events.customer()),
        events.event("customer.subscription.created", events.subscription()),
    )
    before = await ingest.mirror(), await ingest.products(), await ingest.announced()
    async with ingest.pool.transaction() as connection:
        ids = [row["id"] for row in await connection.fetch("SELECT id FROM inbox.event")]
        await replay.replay(connection, ids, ingest.clock.now())
    await ingest.work_off()
    assert (await ingest.mirror(), await ingest.products(), await ingest.announced()) == before
    assert len(await ingest.rows("SELECT * FROM stripe.revision")) == 2
