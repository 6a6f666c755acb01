from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem.ingest.derive import Entry, derive

CREATED = datetime(2023, 11, 1, tzinfo=UTC)
START = datetime(2023, 11, 2, tzinfo=UTC)
CANCELED = datetime(2023, 11, 10, tzinfo=UTC)
ENDED = datetime(2023, 12, 1, tzinfo=UTC)


def entry(**values: Any) -> Entry:
    known = {
        "subscription_id": "sub_1",
        "item_id": "si_1",
        "product_id": "prod_1",
        "status": "active",
        "created": CREATED,
        "start_date": START,
        "canceled_at": None,
        "ended_at": None,
        "cancel_at_period_end": False,
        "current_period_start": START,
        "current_period_end": ENDED,
        "price_id": "price_1",
        "currency": "usd",
        "amount": 999,
        "interval": "month",
        "interval_count": 1,
    }
    return Entry(**{**known, **values})


@pytest.mark.parametrize(
    ("values", "segment", "changed"),
    [
        ({}, "active", START),
        ({"cancel_at_period_end": True}, "active", START),
        ({"canceled_at": CANCELED}, "cancelling", CANCELED),
        ({"status": "canceled", "ended_at": ENDED, "canceled_at": CANCELED}, "canceled", ENDED),
        ({"status": "canceled", "canceled_at": CANCELED}, "canceled", CANCELED),
        ({"status": "canceled"}, "canceled", CREATED),
        ({"status": "past_due"}, "other", CREATED),
        ({"status": "trialing", "canceled_at": CANCELED}, "other", CREATED),
        ({"status": "never_heard_of"}, "other", CREATED),
    ],
)
def test_the_status_makes_the_segment(values: dict[str, Any], segment: str, changed: datetime) -> None:
    (product,) = derive([entry(**values)])
    assert (product.segment, product.changed, product.sub_count) == (segment, changed, 1)


def test_items_are_counted_not_subscriptions() -> None:
    (product,) = derive([entry(), entry(item_id="si_2")])
    assert (product.segment, product.sub_count) == ("re-active", 2)


def test_other_is_never_re_other() -> None:
    (product,) = derive([entry(status="unpaid"), entry(item_id="si_2", status="unpaid")])
    assert (product.segment, product.sub_count) == ("other", 2)


@pytest.mark.parametrize(
    "later",
    [
        {"current_period_end": ENDED + timedelta(seconds=1), "created": CREATED - timedelta(days=1)},
        {"created": CREATED + timedelta(seconds=1), "subscription_id": "sub_0"},
        {"subscription_id": "sub_2", "item_id": "si_0"},
        {"item_id": "si_2"},
    ],
)
def test_the_latest_is_the_greatest_by_period_end_creation_subscription_item(later: dict[str, Any]) -> None:
    (product,) = derive([entry(**later), entry()])
    assert product.latest == entry(**later)


def test_products_come_by_id() -> None:
    products = derive([entry(product_id="prod_b"), entry(product_id="prod_a", item_id="si_2")])
    assert [product.latest.product_id for product in products] == ["prod_a", "prod_b"]


def test_no_entries_are_no_products() -> None:
    assert derive([]) == []


TIMES = st.none() | st.datetimes(timezones=st.just(UTC))
ENTRIES = st.builds(
    entry,
    subscription_id=st.sampled_from(["sub_1", "sub_2"]),
    item_id=st.uuids().map(str),
    product_id=st.sampled_from(["prod_1", "prod_2"]),
    status=st.sampled_from(["active", "canceled", "trialing", "past_due", "odd"]),
    created=st.datetimes(timezones=st.just(UTC)),
    start_date=TIMES,
    canceled_at=TIMES,
    ended_at=TIMES,
    current_period_end=TIMES,
)


@given(entries=st.lists(ENTRIES, max_size=6), data=st.data())
def test_the_order_of_entries_does_not_matter(entries: list[Entry], data: st.DataObject) -> None:
    assert derive(data.draw(st.permutations(entries))) == derive(entries)


@given(entries=st.lists(ENTRIES, max_size=6))
def test_every_entry_counts_in_one_product_that_has_a_segment_and_a_time(entries: list[Entry]) -> None:
    products = derive(entries)
    assert sum(product.sub_count for product in products) == len(entries)
    for product in products:
        bare = product.segment.removeprefix("re-")
        assert bare in {"active", "cancelling", "canceled", "other"}
        assert product.segment.startswith("re-") == (product.sub_count > 1 and bare != "other")
        assert product.changed.tzinfo is UTC
