"""Reports from the field about who has what, through the real pipeline, by both rule sets.

The inputs are those of public bug reports: a duplicate customer takes the owner's products, an ended year
outranks an active month, an attempt never paid counts as a subscription.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import stripe_events as events
from false_answers import MISSING, RESTRICTED, answer
from fetch_world import FetchWorld, open_fetch_world
from ingest_bench import Ingest
from stripe_events import DAY, MONTH, START

# The SDK hands httpx its form in a way that httpx deprecates; only the shop posts any.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

MONTHLY = events.price("price_fb_month", product="prod_fb")
YEARLY = events.price(
    "price_fb_year", product="prod_fb", amount=9900, recurring={"interval": "year", "interval_count": 1}
)
YEAR = 365 * DAY

Seen = list[tuple[str, str | None, int, str | None]]


async def seen(ingest: Ingest) -> Seen:
    """Return segment, price, count and customer of each product."""
    return [
        (row["segment"], row["price_id"], row["sub_count"], row["customer"])
        for row in await ingest.products()
    ]


def created(one: dict[str, Any], at: int = START) -> bytes:
    return events.event("customer.subscription.created", one, at=at)


OLD = events.customer("cus_old")
NEW = events.customer("cus_new", created=START + DAY)
MONTH_ITEM = events.item("si_month", of=MONTHLY)


async def test_second_customer_and_its_deletion_take_nothing_from_the_paying_one(ingest: Ingest) -> None:
    steps = [
        (
            events.event("customer.created", OLD),
            created(events.subscription(of="cus_old", items=[MONTH_ITEM])),
        ),
        (events.event("customer.created", NEW, at=START + DAY),),
        (events.event("customer.deleted", NEW, at=START + 2 * DAY),),
    ]
    for step in steps:
        await ingest.take(*step)
        assert await seen(ingest) == [("active", "price_fb_month", 1, "cus_old")]
    await ingest.activate("ctms-1.1.0")
    assert await seen(ingest) == []


async def test_second_customer_with_an_ended_subscription_takes_nothing_either(ingest: Ingest) -> None:
    ended = events.subscription(
        "sub_new",
        of="cus_new",
        items=[events.item("si_new", of=MONTHLY, end=START + 2 * MONTH)],
        status="canceled",
        ended_at=START + 2 * DAY,
    )
    await ingest.take(
        events.event("customer.created", OLD),
        created(events.subscription(of="cus_old", items=[MONTH_ITEM])),
        events.event("customer.created", NEW),
        created(ended),
    )
    assert await seen(ingest) == [("re-active", "price_fb_month", 2, "cus_old")]


async def test_deletion_of_the_paying_customer_ends_what_it_paid_for(ingest: Ingest) -> None:
    await ingest.take(
        events.event("customer.created", OLD),
        created(events.subscription(of="cus_old", items=[MONTH_ITEM])),
        events.event("customer.created", NEW),
        events.event("customer.deleted", OLD, at=START + DAY),
    )
    assert await seen(ingest) == [("canceled", "price_fb_month", 1, "cus_old")]


async def test_active_month_outranks_the_ended_year(ingest: Ingest) -> None:
    year = events.subscription(
        "sub_year",
        items=[events.item("si_year", of=YEARLY, end=START + YEAR)],
        status="canceled",
        canceled_at=START + DAY,
        ended_at=START + DAY,
    )
    month = events.subscription("sub_month", items=[MONTH_ITEM], created=START + 2 * DAY)
    await ingest.take(events.event("customer.created", events.customer()), created(year), created(month))
    assert await seen(ingest) == [("re-active", "price_fb_month", 2, "cus_1")]
    await ingest.activate("ctms-1.1.0")
    assert await seen(ingest) == [("re-canceled", "price_fb_year", 2, "cus_1")]


@pytest.mark.parametrize("status", ["incomplete_expired", "incomplete"])
async def test_attempt_that_was_never_paid_is_no_subscription(ingest: Ingest, status: str) -> None:
    never = events.subscription(
        "sub_never", items=[events.item("si_never", of=YEARLY, end=START + YEAR)], status=status
    )
    await ingest.take(events.event("customer.created", events.customer()), created(never))
    assert await seen(ingest) == []
    paid = events.subscription("sub_paid", items=[MONTH_ITEM], created=START + 2 * DAY)
    await ingest.take(created(paid))
    assert await seen(ingest) == [("active", "price_fb_month", 1, "cus_1")]
    await ingest.activate("ctms-1.1.0")
    assert await seen(ingest) == [("other", "price_fb_year", 2, "cus_1")]


@pytest.fixture
async def stripe(tmp_path: Path) -> AsyncIterator[FetchWorld]:
    async with open_fetch_world(tmp_path) as opened:
        yield opened


async def hear(ingest: Ingest, stripe: FetchWorld) -> None:
    """Fetch what every event so far points at."""
    await ingest.record(*stripe.signed())
    pipeline = ingest.pipeline(stripe.source(ingest.pool))
    while await pipeline.work():
        pass


async def test_deleted_duplicate_takes_nothing_when_objects_are_fetched(
    ingest: Ingest, stripe: FetchWorld
) -> None:
    sdk, subscription = stripe.shop.sdk.v1, await stripe.shop.subscription()
    await sdk.customers.update_async(str(subscription.customer), {"description": "fxa-1"})
    await stripe.world.move_to(stripe.world.now + DAY)
    duplicate = await sdk.customers.create_async({"description": "fxa-1"})
    await hear(ingest, stripe)
    held = [(row["segment"], row["sub_count"], row["customer"]) for row in await ingest.products()]
    assert held == [("active", 1, subscription.customer)]
    await sdk.customers.delete_async(duplicate.id)
    await hear(ingest, stripe)
    assert [row["segment"] for row in await ingest.products()] == ["active"]
    await sdk.customers.delete_async(str(subscription.customer))
    await hear(ingest, stripe)
    assert [row["segment"] for row in await ingest.products()] == ["canceled"]


async def test_attempt_that_expired_does_not_count_when_objects_are_fetched(
    ingest: Ingest, stripe: FetchWorld
) -> None:
    shop, price = stripe.shop, (await stripe.shop.price()).id
    customer = await shop.customer("pm_card_chargeCustomerFail")
    await shop.sdk.v1.customers.update_async(customer.id, {"description": "fxa-1"})
    attempt = await shop.subscription(customer=customer.id, price=price)
    assert attempt.status == "incomplete"
    await hear(ingest, stripe)
    assert await ingest.products() == []
    await stripe.world.move_to(stripe.world.now + DAY)
    await shop.pay_with(customer.id, "pm_card_visa")
    await shop.subscription(customer=customer.id, price=price)
    await hear(ingest, stripe)
    statuses = {row["status"] for row in await ingest.table("subscription")}
    assert statuses == {"incomplete_expired", "active"}
    assert [(row["segment"], row["sub_count"]) for row in await ingest.products()] == [("active", 1)]


@pytest.mark.parametrize("is_restricted", [True, False], ids=["restricted key", "proven account"])
async def test_missing_customer_ends_no_subscription_and_a_deleted_one_does(
    ingest: Ingest, stripe: FetchWorld, is_restricted: bool
) -> None:
    sdk, customer = stripe.shop.sdk.v1, str((await stripe.shop.subscription()).customer)
    await sdk.customers.update_async(customer, {"description": "fxa-1"})
    await hear(ingest, stripe)
    stripe.world.faults.add(answer(customer, 404, MISSING))
    if is_restricted:
        stripe.world.faults.add(answer("^/v1/account$", 403, RESTRICTED))
    await sdk.customers.update_async(customer, {"name": "Ada"})
    await hear(ingest, stripe)
    assert await standing(ingest) == (True, True, ["active"], False)
    await sdk.customers.delete_async(customer)
    await hear(ingest, stripe)
    assert await standing(ingest) == (True, False, ["canceled"], True)


async def standing(ingest: Ingest) -> tuple[bool, bool, list[str], bool]:
    """Return the one customer's tombstone and its mark, its segments, and how billing sees it."""
    (row,) = await ingest.table("customer")
    (owner,) = await ingest.rows("SELECT deleted FROM subscription.v1_owner")
    return row["deleted"], row["missing"], list((await ingest.segments()).values()), owner["deleted"]
