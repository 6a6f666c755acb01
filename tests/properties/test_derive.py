"""Derivation by any rule set: order never matters, and what holds is held."""

from datetime import UTC

import pytest
from entries import entry, payer
from hypothesis import given
from hypothesis import strategies as st

from mainstem.ingest.subscriptions.derive import Entry, Payer, derive
from mainstem.ingest.subscriptions.language import RuleSet
from mainstem.ingest.subscriptions.sets import CTMS, MAINSTEM

BOTH = pytest.mark.parametrize("rules", [CTMS, MAINSTEM], ids=lambda rules: rules.name)

TIMES = st.none() | st.datetimes(timezones=st.just(UTC))
ENTRIES = st.builds(
    entry,
    subscription_id=st.sampled_from(["sub_1", "sub_2"]),
    item_id=st.uuids().map(str),
    product_id=st.sampled_from(["prod_1", "prod_2"]),
    status=st.sampled_from([*MAINSTEM.statuses, "odd"]),
    paused_reason=st.sampled_from([None, *MAINSTEM.paused, "odd"]),
    created=st.datetimes(timezones=st.just(UTC)),
    start_date=TIMES,
    cancel_at=TIMES,
    canceled_at=TIMES,
    ended_at=TIMES,
    paused_at=TIMES,
    current_period_end=TIMES,
)
PAYERS = st.lists(
    st.builds(
        payer,
        st.just(entry()) | ENTRIES,
        ENTRIES,
        customer=st.uuids().map(str),
        created=TIMES,
        deleted=st.booleans(),
    ),
    max_size=4,
)


@BOTH
@given(payers=PAYERS, data=st.data())
def test_the_order_of_customers_and_entries_does_not_matter(
    rules: RuleSet, payers: list[Payer], data: st.DataObject
) -> None:
    shuffled = [
        Payer(one.customer, one.created, one.is_deleted, data.draw(st.permutations(one.entries)))
        for one in data.draw(st.permutations(payers))
    ]
    assert derive(rules, shuffled) == derive(rules, payers)


@given(entries=st.lists(ENTRIES, max_size=6))
def test_ctms_counts_every_entry_in_one_product_that_has_a_segment_and_a_time(entries: list[Entry]) -> None:
    products = derive(CTMS, [payer(*entries)])
    assert sum(product.sub_count for product in products) == len(entries)
    for product in products:
        bare = product.segment.removeprefix("re-")
        assert bare in {"active", "cancelling", "canceled", "other"}
        assert product.segment.startswith("re-") == (product.sub_count > 1 and bare != "other")
        assert product.changed.tzinfo is UTC


@given(payers=PAYERS)
def test_mainstem_holds_a_product_exactly_if_some_entry_of_it_holds(payers: list[Payer]) -> None:
    holding = {"active", "trialing", "past_due"}
    expected = {
        one.product_id
        for each in payers
        if not each.is_deleted
        for one in each.entries
        if one.status in holding
    }
    held = {
        product.latest.product_id
        for product in derive(MAINSTEM, payers)
        if product.segment.removeprefix("re-") in {"active", "cancelling"}
    }
    assert held == expected
