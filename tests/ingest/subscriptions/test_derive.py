from datetime import datetime, timedelta
from typing import Any

import pytest
from entries import CANCELED, CREATED, ENDED, PAUSED, START, entry, payer

from mainstem.ingest.subscriptions.derive import DerivedProduct, Entry, derive
from mainstem.ingest.subscriptions.language import RuleSet
from mainstem.ingest.subscriptions.sets import CTMS, MAINSTEM

BOTH = pytest.mark.parametrize("rules", [CTMS, MAINSTEM], ids=lambda rules: rules.name)


def derived(rules: RuleSet, *entries: Entry) -> list[DerivedProduct]:
    return derive(rules, [payer(*entries)])


def seen(products: list[DerivedProduct]) -> list[tuple[str, datetime, int]]:
    return [(product.segment, product.changed, product.sub_count) for product in products]


@pytest.mark.parametrize(
    ("values", "segment", "changed"),
    [
        ({}, "active", START),
        ({"cancel_at_period_end": True}, "active", START),
        ({"cancel_at": ENDED}, "active", START),
        ({"canceled_at": CANCELED}, "cancelling", CANCELED),
        ({"status": "canceled", "ended_at": ENDED, "canceled_at": CANCELED}, "canceled", ENDED),
        ({"status": "canceled", "canceled_at": CANCELED}, "canceled", CANCELED),
        ({"status": "canceled"}, "canceled", CREATED),
        ({"status": "past_due"}, "other", CREATED),
        ({"status": "incomplete"}, "other", CREATED),
        ({"status": "incomplete_expired"}, "other", CREATED),
        ({"status": "unpaid"}, "other", CREATED),
        ({"status": "paused", "paused_reason": "pause_requested", "paused_at": PAUSED}, "other", CREATED),
        ({"status": "trialing", "canceled_at": CANCELED}, "other", CREATED),
        ({"status": "never_heard_of"}, "other", CREATED),
        ({"status": None}, "other", CREATED),
    ],
)
def test_ctms_concludes_the_segment_from_the_status(
    values: dict[str, Any], segment: str, changed: datetime
) -> None:
    assert seen(derived(CTMS, entry(**values))) == [(segment, changed, 1)]


@pytest.mark.parametrize("status", ["active", "trialing", "past_due"])
@pytest.mark.parametrize(
    ("values", "segment", "changed"),
    [
        ({}, "active", START),
        ({"canceled_at": CANCELED}, "active", START),
        ({"cancel_at_period_end": True, "canceled_at": CANCELED}, "cancelling", CANCELED),
        ({"cancel_at": ENDED, "canceled_at": CANCELED}, "cancelling", CANCELED),
        ({"cancel_at": ENDED}, "cancelling", START),
    ],
)
def test_mainstem_holds_what_is_active_trialing_or_past_due(
    status: str, values: dict[str, Any], segment: str, changed: datetime
) -> None:
    assert seen(derived(MAINSTEM, entry(status=status, **values))) == [(segment, changed, 1)]


@pytest.mark.parametrize(
    ("values", "segment", "changed"),
    [
        ({"status": "canceled", "ended_at": ENDED, "canceled_at": CANCELED}, "canceled", ENDED),
        ({"status": "canceled", "canceled_at": CANCELED}, "canceled", CANCELED),
        ({"status": "canceled", "cancel_at_period_end": True}, "canceled", CREATED),
        ({"status": "unpaid", "cancel_at": ENDED}, "other", CREATED),
        ({"status": "paused"}, "other", CREATED),
        ({"status": "paused", "paused_at": PAUSED}, "other", PAUSED),
        ({"status": "never_heard_of"}, "other", CREATED),
        ({"status": None}, "other", CREATED),
    ],
)
def test_mainstem_keeps_what_no_longer_holds_in_sight(
    values: dict[str, Any], segment: str, changed: datetime
) -> None:
    assert seen(derived(MAINSTEM, entry(**values))) == [(segment, changed, 1)]


@pytest.mark.parametrize(
    "reason",
    [
        "pause_requested",
        "first_payment_failure",
        "final_payment_failure",
        "trial_end_without_payment_method",
        "system",
        "never_heard_of",
    ],
)
def test_a_pause_for_any_reason_is_other_since_its_transition(reason: str) -> None:
    paused = entry(status="paused", paused_reason=reason, paused_at=PAUSED)
    assert seen(derived(MAINSTEM, paused)) == [("other", PAUSED, 1)]
    assert reason == "never_heard_of" or reason in MAINSTEM.paused


@pytest.mark.parametrize("status", ["incomplete", "incomplete_expired"])
def test_an_attempt_never_paid_yields_no_entry(status: str) -> None:
    attempt = entry(subscription_id="sub_0", item_id="si_0", status=status)
    assert derived(MAINSTEM, attempt) == []
    assert seen(derived(MAINSTEM, attempt, entry())) == [("active", START, 1)]
    assert seen(derived(CTMS, attempt, entry())) == [("re-active", START, 2)]


def test_ctms_counts_items_and_mainstem_subscriptions() -> None:
    second = entry(item_id="si_2", price_id="price_2")
    assert seen(derived(CTMS, entry(), second)) == [("re-active", START, 2)]
    assert seen(derived(MAINSTEM, entry(), second)) == [("active", START, 1)]


@BOTH
def test_other_is_never_re_other(rules: RuleSet) -> None:
    unpaid = [
        entry(status="unpaid", subscription_id=name, item_id=f"si_{name}") for name in ("sub_1", "sub_2")
    ]
    assert seen(derived(rules, *unpaid)) == [("other", CREATED, 2)]


@BOTH
@pytest.mark.parametrize(
    "later",
    [
        {"current_period_end": ENDED + timedelta(seconds=1), "created": CREATED - timedelta(days=1)},
        {"created": CREATED + timedelta(seconds=1), "subscription_id": "sub_0"},
        {"subscription_id": "sub_2", "item_id": "si_0"},
        {"item_id": "si_2"},
    ],
)
def test_the_latest_is_the_greatest_by_period_end_creation_subscription_item(
    rules: RuleSet, later: dict[str, Any]
) -> None:
    (product,) = derived(rules, entry(**later), entry())
    assert product.latest == entry(**later)


def test_an_ended_year_outranks_an_active_month_only_at_ctms() -> None:
    year = entry(
        subscription_id="sub_year",
        status="canceled",
        ended_at=CANCELED,
        current_period_end=ENDED.replace(year=2024),
    )
    month = entry(subscription_id="sub_month", item_id="si_2")
    assert seen(derived(MAINSTEM, year, month)) == [("re-active", START, 2)]
    assert seen(derived(CTMS, year, month)) == [("re-canceled", CANCELED, 2)]


def test_ctms_counts_the_newest_customer_alone_even_without_a_subscription() -> None:
    payers = [payer(entry()), payer(customer="cus_2", created=CREATED + timedelta(days=1), deleted=True)]
    assert derive(CTMS, payers) == []
    assert seen(derive(MAINSTEM, payers)) == [("active", START, 1)]


def test_a_customer_without_a_creation_is_the_oldest() -> None:
    payers = [payer(entry()), payer(customer="cus_2", created=None)]
    assert seen(derive(CTMS, payers)) == [("active", START, 1)]


def test_a_deleted_customers_entries_are_ended_only_at_mainstem() -> None:
    payers = [payer(entry(canceled_at=CANCELED), deleted=True)]
    assert seen(derive(MAINSTEM, payers)) == [("canceled", CANCELED, 1)]
    assert seen(derive(CTMS, payers)) == [("cancelling", CANCELED, 1)]


def test_a_deleted_customers_attempts_still_yield_no_entry() -> None:
    assert derive(MAINSTEM, [payer(entry(status="incomplete"), deleted=True)]) == []


def test_all_customers_count_together_and_the_latest_names_its_own() -> None:
    other = entry(
        customer="cus_0", subscription_id="sub_0", item_id="si_0", status="canceled", ended_at=ENDED
    )
    payers = [payer(entry()), payer(other, customer="cus_0", created=CREATED + timedelta(days=1))]
    (product,) = derive(MAINSTEM, payers)
    assert (product.segment, product.sub_count, product.latest.customer) == ("re-active", 2, "cus_1")


@pytest.mark.parametrize(
    ("flag", "cancel_at", "by_ctms", "by_mainstem"),
    [
        (False, ENDED, False, True),
        (True, None, True, True),
        (False, None, False, False),
        (None, None, None, None),
    ],
)
def test_the_rows_flag_is_either_signal_at_mainstem(
    flag: bool | None, cancel_at: datetime | None, by_ctms: bool | None, by_mainstem: bool | None
) -> None:
    one = entry(cancel_at_period_end=flag, cancel_at=cancel_at)
    assert [derived(rules, one)[0].cancel_at_period_end for rules in (CTMS, MAINSTEM)] == [
        by_ctms,
        by_mainstem,
    ]


@BOTH
def test_products_come_by_id(rules: RuleSet) -> None:
    products = derived(rules, entry(product_id="prod_b"), entry(product_id="prod_a", item_id="si_2"))
    assert [product.latest.product_id for product in products] == ["prod_a", "prod_b"]


@BOTH
def test_no_entries_are_no_products(rules: RuleSet) -> None:
    assert derive(rules, []) == derived(rules) == []
