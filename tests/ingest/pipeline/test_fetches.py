"""Fetch mode against the stand-in for Stripe, over HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import stripe_events as events
from bare_objects import customer as bare_customer
from bare_objects import item as bare_item
from bare_objects import push
from ingest_bench import Ingest
from serving import serving
from starlette.applications import Starlette
from starlette.routing import Mount
from stripe_events import START
from stripe_shop import API_KEY, Shop, World

from mainstem.ingest.pipeline.fetches import FetchSource, batch_size
from mainstem.ingest.pipeline.run import Pipeline
from mainstem.ingest.providers.stripe.reader import open_readers
from mainstem.sandbox.stand_ins.faults import Fault, FaultMiddleware, Faults, Kind
from mainstem.sandbox.stripe.stand_in import StripeStandIn
from mainstem.sandbox.world.clock import MovableClock

# The SDK hands httpx its form in a way that httpx deprecates; only the shop posts any.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@dataclass
class Provider:
    """Stripe's stand-in, somebody who sells there, and ingest's way to it."""

    world: World
    shop: Shop
    stack: AsyncExitStack

    async def source(
        self, ingest: Ingest, *, key: str = API_KEY, concurrency: int = 10, seconds: float = 10.0
    ) -> FetchSource:
        readers = await self.stack.enter_async_context(
            open_readers({"default": key}, f"{self.world.url}/stripe", seconds=seconds)
        )
        return FetchSource(
            "stripe", {"default": 1}, readers, database=ingest.pool, concurrency=concurrency, limit=30
        )

    async def pipeline(self, ingest: Ingest, **more: Any) -> Pipeline:
        return ingest.pipeline(await self.source(ingest, **more))

    def requests(self, path: str) -> int:
        return sum(request["path"].endswith(path) for request in self.world.stand_in.received())

    async def items(self, many: int) -> str:
        """Return a subscription with so many items, each of a price of its own."""
        first = await self.shop.price(100)
        subscription = await self.shop.subscription(price=first.id)
        for number in range(1, many):
            price = await self.shop.price(100 + number)
            await self.shop.sdk.v1.subscription_items.create_async(
                {"subscription": subscription.id, "price": price.id, "proration_behavior": "none"}
            )
        return subscription.id


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Provider]:
    faults = Faults()
    clock = MovableClock.create(tmp_path / "clock")
    stand_in = StripeStandIn(clock, faults, api_key=API_KEY)
    app = FaultMiddleware(Starlette(routes=[Mount("/stripe", routes=stand_in.routes)]), faults)
    async with serving(app) as url, AsyncExitStack() as stack:
        world = World(stand_in, clock, faults, url)
        yield Provider(world, Shop(world, world.client()), stack)
        for client in world.clients:
            await client.close_async()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped


def hint(kind: str, object_type: str, object_id: str, **more: Any) -> bytes:
    """Return an event that says no more than that something happened to an object."""
    return events.event(kind, {"id": object_id, "object": object_type}, **more)


@pytest.mark.parametrize("many", [11, 101])
async def test_every_item_of_a_subscription_is_mirrored(
    ingest: Ingest, provider: Provider, many: int
) -> None:
    subscription = await provider.items(many)
    await ingest.record(hint("customer.subscription.updated", "subscription", subscription))
    await (await provider.pipeline(ingest)).work()
    assert len(await ingest.table("subscription_item")) == many
    assert len(await ingest.table("price")) == many
    (row,) = await ingest.table("subscription")
    assert row["incomplete_items"] is False
    (revision,) = await ingest.rows("SELECT body FROM stripe.revision WHERE body IS NOT NULL")
    assert revision["body"].count(b'"subscription_item"') == many


async def test_events_of_one_object_share_one_fetch(ingest: Ingest, provider: Provider) -> None:
    customer = await provider.shop.customer(card=None)
    await ingest.record(
        *(hint("customer.updated", "customer", customer.id, at=START + number) for number in range(5))
    )
    before = provider.requests(customer.id)
    assert await (await provider.pipeline(ingest)).work() == 5
    assert provider.requests(customer.id) == before + 1
    assert set((await ingest.statuses()).values()) == {"done"}
    (row,) = await ingest.table("customer")
    assert (row["epoch"], row["rank"], row["key"], row["email"]) == (1, 0, "", "ada@example.com")


async def test_the_fetch_is_the_truth_whatever_the_payload_says(ingest: Ingest, provider: Provider) -> None:
    subscription = await provider.shop.subscription()
    payload = events.subscription(subscription.id, status="unpaid")
    await ingest.record(events.event("customer.subscription.updated", payload))
    await (await provider.pipeline(ingest)).work()
    (row,) = await ingest.table("subscription")
    assert row["status"] == "active"
    revisions = await ingest.rows("SELECT event IS NULL AS is_fetched FROM stripe.revision ORDER BY id")
    assert [row["is_fetched"] for row in revisions] == [False, True]


async def test_an_invoice_comes_with_its_lines(ingest: Ingest, provider: Provider) -> None:
    subscription = await provider.shop.subscription()
    await ingest.record(hint("invoice.paid", "invoice", str(subscription.latest_invoice)))
    await (await provider.pipeline(ingest)).work()
    (row,) = await ingest.table("invoice")
    (line,) = await ingest.table("invoice_line")
    assert row["subscription"] == line["subscription"] == subscription.id
    assert (row["status"], line["type"], row["incomplete_lines"]) == ("paid", "subscription", False)


async def test_an_object_that_is_gone_leaves_a_tombstone(ingest: Ingest, provider: Provider) -> None:
    customer = await provider.shop.customer(card=None)
    pipeline = await provider.pipeline(ingest)
    await ingest.record(hint("customer.created", "customer", customer.id))
    await pipeline.work()
    await provider.shop.sdk.v1.customers.delete_async(customer.id)
    await ingest.record(
        hint("customer.deleted", "customer", customer.id),
        hint("price.deleted", "price", "price_never_seen"),
    )
    await pipeline.work()
    (row,) = await ingest.table("customer")
    assert (row["deleted"], row["email"]) == (True, "ada@example.com")
    (price,) = await ingest.table("price")
    assert (price["deleted"], price["product"]) == (True, None)


async def test_a_404_to_a_live_event_by_a_test_key_is_a_dead_letter(
    ingest: Ingest, provider: Provider
) -> None:
    await ingest.record(hint("customer.updated", "customer", "cus_live", livemode=True))
    pipeline = ingest.pipeline(await provider.source(ingest), failures_to_dead=1)
    await pipeline.work()
    (row,) = await ingest.rows("SELECT status, last_error FROM inbox.event")
    assert row["status"] == "dead"
    assert "livemode" in row["last_error"]
    assert await ingest.table("customer") == []


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_an_answer_that_passes_never_kills_an_event(
    ingest: Ingest, provider: Provider, status: int
) -> None:
    customer = await provider.shop.customer(card=None)
    await ingest.record(hint("customer.updated", "customer", customer.id))
    provider.world.faults.add(Fault("stripe", Kind.STATUS, path=customer.id, status=status, remaining=4))
    pipeline = await provider.pipeline(ingest)
    for _ in range(4):
        assert await pipeline.work() == 1
        assert await pipeline.work() == 0
        ingest.clock.move(hours=1)
    (row,) = await ingest.rows("SELECT status, failures, last_error FROM inbox.event")
    assert row == {"status": "received", "failures": 4, "last_error": f"Stripe answered {status}"}
    await pipeline.work()
    assert set((await ingest.statuses()).values()) == {"done"}


async def test_a_connection_that_breaks_is_tried_again(ingest: Ingest, provider: Provider) -> None:
    customer = await provider.shop.customer(card=None)
    await ingest.record(hint("customer.updated", "customer", customer.id))
    provider.world.faults.add(Fault("stripe", Kind.DROP, path=customer.id))
    pipeline = await provider.pipeline(ingest)
    await pipeline.work()
    (row,) = await ingest.rows("SELECT status, failures FROM inbox.event")
    assert row == {"status": "received", "failures": 1}


async def test_a_fetch_ends_in_time_however_many_pages_it_has(ingest: Ingest, provider: Provider) -> None:
    subscription = await provider.items(11)
    await ingest.record(hint("customer.subscription.updated", "subscription", subscription))
    # Each page by itself is quick enough, both together are not.
    provider.world.faults.add(
        Fault("stripe", Kind.DELAY, path="/v1/subscription", delay_seconds=0.6, remaining=2)
    )
    pipeline = await provider.pipeline(ingest, seconds=1.0)
    await pipeline.work()
    (row,) = await ingest.rows("SELECT status, failures, last_error FROM inbox.event")
    assert row == {"status": "received", "failures": 1, "last_error": "no answer in 1 s"}
    assert await ingest.table("subscription") == []
    ingest.clock.move(hours=1)
    await pipeline.work()
    assert len(await ingest.table("subscription_item")) == 11


async def test_one_object_that_fails_leaves_the_others_alone(ingest: Ingest, provider: Provider) -> None:
    good = await provider.shop.customer(card=None)
    bad = await provider.shop.customer(card=None)
    provider.world.faults.add(Fault("stripe", Kind.STATUS, path=bad.id, status=500))
    await ingest.record(
        hint("customer.updated", "customer", bad.id), hint("customer.updated", "customer", good.id)
    )
    await (await provider.pipeline(ingest)).work()
    assert [row["id"] for row in await ingest.table("customer")] == [good.id]


async def test_an_id_is_quoted_on_its_way_into_a_path(ingest: Ingest, provider: Provider) -> None:
    await ingest.record(hint("customer.updated", "customer", "../events?limit=1"))
    await (await provider.pipeline(ingest)).work()
    assert not any(request["path"] == "/v1/events" for request in provider.world.stand_in.received())
    (row,) = await ingest.rows("SELECT status, last_error FROM inbox.event")
    assert row == {"status": "received", "last_error": "Stripe answered 404"}


async def test_a_change_of_mode_makes_every_fetch_newer_than_every_payload(
    ingest: Ingest, provider: Provider
) -> None:
    customer = await provider.shop.customer(card=None)
    late = 4_000_000_000
    await ingest.take(events.event("customer.updated", events.customer(customer.id), at=late))
    await ingest.record(hint("customer.updated", "customer", customer.id, at=START))
    await (await provider.pipeline(ingest)).work()
    (row,) = await ingest.table("customer")
    assert (row["epoch"], row["email"]) == (1, "ada@example.com")


def test_a_batch_fits_half_a_lease() -> None:
    assert batch_size(10, 60.0) == 30
    assert batch_size(1, 1.0) == 1


async def test_a_bare_object_is_only_a_hint(ingest: Ingest, provider: Provider) -> None:
    subscription = await provider.shop.subscription()
    await push(
        ingest,
        bare_customer(id=subscription.customer, description="somebody else"),
        bare_item("si_unheard_of", subscription=subscription.id),
    )
    await (await provider.pipeline(ingest)).work()
    assert set((await ingest.statuses()).values()) == {"done"}
    (row,) = await ingest.table("customer")
    assert row["description"] != "somebody else"
    assert "si_unheard_of" not in [row["id"] for row in await ingest.table("subscription_item")]
    revisions = await ingest.rows("SELECT event, valid_from, body IS NULL AS is_bare FROM stripe.revision")
    assert [(row["event"], row["is_bare"]) for row in revisions] == [(None, False)] * 2
    assert all(row["valid_from"] <= ingest.clock.now() for row in revisions)


async def test_a_bare_object_that_stripe_knows_as_deleted_is_gone(ingest: Ingest, provider: Provider) -> None:
    customer = await provider.shop.customer(card=None)
    await provider.shop.sdk.v1.customers.delete_async(customer.id)
    gone = {"id": customer.id, "object": "customer", "deleted": True}
    await push(ingest, gone, {**gone, "id": "cus_never_seen"})
    await (await provider.pipeline(ingest)).work()
    (row,) = await ingest.table("customer")
    assert (row["id"], row["deleted"]) == (customer.id, True)
    (other,) = await ingest.rows("SELECT last_error FROM inbox.event WHERE status <> 'done'")
    assert "livemode" in other["last_error"]


async def test_an_answer_about_another_object_is_refused(ingest: Ingest, provider: Provider) -> None:
    customer = await provider.shop.customer(card=None)
    await ingest.record(hint("customer.updated", "customer", customer.id))
    other = json.dumps(events.customer("cus_other"))
    provider.world.faults.add(Fault("stripe", Kind.STATUS, path=customer.id, status=200, body=other))
    await (await provider.pipeline(ingest)).work()
    (row,) = await ingest.rows("SELECT status, last_error FROM inbox.event")
    assert row == {
        "status": "received",
        "last_error": "Stripe's answer is not the customer that was requested",
    }
    assert await ingest.table("customer") == []


@pytest.mark.parametrize("object_id", [".", ".."])
async def test_an_id_that_leaves_its_path_is_asked_for_nowhere(
    ingest: Ingest, provider: Provider, object_id: str
) -> None:
    asked = len(provider.world.stand_in.received())
    await ingest.record(hint("customer.updated", "customer", object_id))
    await (await provider.pipeline(ingest)).work()
    (row,) = await ingest.rows("SELECT last_error FROM inbox.event")
    assert row == {"last_error": "the object's id is no id"}
    assert len(provider.world.stand_in.received()) == asked
