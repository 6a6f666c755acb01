"""Lists: pages from a cursor, in both directions, with filters."""

from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st
from stripe_shop import Shop

from mainstem.sandbox.stripe.state.store import Shelf
from mainstem.sandbox.stripe.wire import paging
from mainstem.sandbox.stripe.wire.errors import StripeError
from mainstem.sandbox.stripe.wire.paging import ListPage, Window


def _shelf(count: int, removed: set[int] | None = None) -> Shelf[int]:
    shelf: Shelf[int] = Shelf()
    for number in range(count):
        shelf.add(str(number), number)
    for number in removed or set():
        shelf.remove(str(number))
    return shelf


@given(
    count=st.integers(0, 40),
    limit=st.integers(1, 12),
    removed=st.sets(st.integers(0, 39)),
    step=st.integers(1, 4),
    newest_first=st.booleans(),
    forwards=st.booleans(),
)
def test_a_walk_in_either_direction_yields_each_object_once(
    *, count: int, limit: int, removed: set[int], step: int, newest_first: bool, forwards: bool
) -> None:
    shelf = _shelf(count, {number for number in removed if number < count})
    expected = [number for number in shelf if number % step == 0]
    if newest_first:
        expected.reverse()
    # The far end's cursor is an object that the filter refuses, or the last of all.
    everything = list(shelf)[::-1] if newest_first else list(shelf)
    cursor = None if forwards or not everything else str(everything[-1])
    walked: list[int] = [n for n in everything[-1:] if n % step == 0] if not forwards else []
    while True:
        window = Window(limit, cursor, None) if forwards else Window(limit, None, cursor)
        page: ListPage[int] = paging.page(
            "/", shelf, window, wanted=lambda number: number % step == 0, newest_first=newest_first
        )
        assert len(page.data) <= limit
        walked = walked + page.data if forwards else page.data + walked
        if not page.has_more:
            break
        cursor = str(page.data[-1] if forwards else page.data[0])
    if forwards or everything:
        assert walked == expected


def test_walking_12000_objects_looks_at_each_about_once() -> None:
    shelf, looks, walked = _shelf(12_000), 0, 0

    def wanted(_: int) -> bool:
        nonlocal looks
        looks += 1
        return True

    cursor = None
    while True:
        page = paging.page("/", shelf, Window(100, cursor), wanted=wanted)
        walked += len(page.data)
        if not page.has_more:
            break
        cursor = str(page.data[-1])
    assert walked == 12_000
    assert looks <= 12_000 + 12_000 / 100


def test_a_cursor_that_is_not_there_is_refused() -> None:
    with pytest.raises(StripeError, match="No such thing: 'gone'"):
        paging.page("/", _shelf(3), Window(10, "gone"), noun="thing")


async def test_a_cursor_that_the_filter_refuses_still_marks_its_place(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    emails = ["ada@example.com", "bob@example.com", "ada@example.com"]
    first, other, last = [(await sdk.v1.customers.create_async({"email": email})).id for email in emails]
    ada: Any = {"email": "ada@example.com"}
    newer = await sdk.v1.customers.list_async(ada | {"ending_before": other})
    older = await sdk.v1.customers.list_async(ada | {"starting_after": other})
    assert [customer.id for customer in newer.data] == [last]
    assert [customer.id for customer in older.data] == [first]


async def test_events_come_newest_first_and_backwards_in_order_of_time(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    oldest = (await shop.customer(card=None)).id
    await shop.subscription()
    recorded = [event.id for event in await shop.events()]
    page = await sdk.v1.events.list_async({"limit": 3})
    assert [event.id for event in page.data] == recorded[:-4:-1]
    backwards = await sdk.v1.events.list_async({"limit": 3, "ending_before": recorded[0]})
    assert [event.id async for event in backwards.auto_paging_iter()] == recorded[1:]
    assert (await sdk.v1.events.retrieve_async(recorded[0])).data.object["id"] == oldest


async def test_events_are_found_by_type_and_time(shop: Shop, sdk: stripe.StripeClient) -> None:
    await shop.subscription()
    assert await shop.types(type="invoice.paid") == ["invoice.paid"]
    assert await shop.types(type="product.*") == ["product.created"]
    assert await shop.types(types=["price.created", "invoice.finalized"]) == [
        "price.created",
        "invoice.finalized",
    ]
    events = await shop.events()
    assert await shop.events(created={"gt": events[-1].created}) == []
    everything = await shop.events(created={"gte": events[0].created, "lte": events[-1].created})
    assert len(everything) == len(events)
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        await sdk.v1.events.list_async({"type": "a", "types": ["b"]})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"limit": 0}, "greater than or equal to 1"),
        ({"limit": 101}, "less than or equal to 100"),
        ({"starting_after": "cus_a", "ending_before": "cus_b"}, "only specify one"),
        ({"starting_after": "cus_none"}, "No such customer"),
        ({"created": {"since": 1}}, r"unknown parameter: created\[since\]"),
        ({"colour": "red"}, "unknown parameter: colour"),
    ],
)
async def test_a_list_refuses_what_it_cannot_mean(
    sdk: stripe.StripeClient, params: Any, message: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=message):
        await sdk.v1.customers.list_async(params)


async def test_lines_of_an_invoice_have_pages(shop: Shop, sdk: stripe.StripeClient) -> None:
    prices = [(await shop.price(amount=100 + number)).id for number in range(12)]
    params: Any = {
        "customer": (await shop.customer()).id,
        "items": [{"price": price} for price in prices],
        "expand": ["latest_invoice"],
    }
    invoice: Any = (await sdk.v1.subscriptions.create_async(params)).latest_invoice
    assert (len(invoice.lines.data), invoice.lines.has_more) == (10, True)
    page = await sdk.v1.invoices.line_items.list_async(invoice.id, {"limit": 5})
    found = [line.pricing.price_details.price async for line in page.auto_paging_iter() if line.pricing]  # type: ignore[union-attr]  # every line here has a price
    assert found == prices
