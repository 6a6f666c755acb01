"""Debts: the table, row by row, and what a buyer who owes is answered."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from billing_world import BillingWorld, buy, url_of
from owing import MONTH_SECONDS, bill_by_hand, break_the_card, end_subscription, fail_to_pay

from mainstem.billing.policies.debts import DEBT_RULES, Debt, MirroredInvoice, find_debt

NOW = datetime(2031, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FINALIZED = NOW - 10 * DAY
SENT: Any = {"collection_method": "send_invoice", "attempt_count": 0, "due_date": NOW - DAY}
GIVEN_UP: Any = {"status": "uncollectible"}
NOTHING = None


def bill(**more: Any) -> MirroredInvoice:
    """Return an open bill of a renewal, whose first attempt failed."""
    plain: dict[str, Any] = {
        "id": "in_1",
        "status": "open",
        "currency": "usd",
        "amount_due": 999,
        "amount_paid": 0,
        "amount_remaining": 999,
        "attempt_count": 1,
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "created": FINALIZED - DAY,
        "due_date": None,
        "finalized_at": FINALIZED,
        "marked_uncollectible_at": None,
        "uncollectible_reason": None,
        "subscription_status": "past_due",
    }
    return MirroredInvoice(**(plain | more))


CASES = [
    # Charged.
    (bill(), FINALIZED),
    (bill(finalized_at=None), FINALIZED - DAY),
    (bill(attempt_count=4, billing_reason="manual"), FINALIZED),
    (bill(collection_method=None), FINALIZED),
    (bill(attempt_count=0), NOTHING),
    (bill(attempt_count=None), NOTHING),
    (bill(attempt_count=0, billing_reason="manual"), NOTHING),
    *(
        (bill(billing_reason="subscription_create", subscription_status=status), NOTHING)
        for status in ("incomplete", "incomplete_expired", "canceled", None)
    ),
    *(
        (bill(billing_reason="subscription_create", subscription_status=status), FINALIZED)
        for status in ("trialing", "active", "past_due", "unpaid", "paused")
    ),
    (bill(subscription_status=None), FINALIZED),
    # Statuses that ask for nothing.
    (bill(status="draft"), NOTHING),
    (bill(status="paid", amount_remaining=0), NOTHING),
    (bill(status="void"), NOTHING),
    (bill(status=None), NOTHING),
    (bill(status="what_comes_next"), NOTHING),
    # Amounts.
    (bill(amount_remaining=0), NOTHING),
    (bill(amount_due=0, amount_remaining=0), NOTHING),
    (bill(amount_due=None, amount_paid=None, amount_remaining=None), NOTHING),
    (bill(amount_remaining=None, amount_paid=999), NOTHING),
    # Given up.
    (bill(**GIVEN_UP), FINALIZED),
    (bill(**GIVEN_UP, attempt_count=0), NOTHING),
    (bill(**GIVEN_UP, attempt_count=0, uncollectible_reason="user_forgiven"), NOTHING),
    (bill(**GIVEN_UP, uncollectible_reason="user_forgiven"), FINALIZED),
    (bill(**GIVEN_UP, uncollectible_reason="max_payment_attempts"), FINALIZED),
    (bill(**GIVEN_UP, uncollectible_reason="subscription_canceled"), FINALIZED),
    (bill(**GIVEN_UP, uncollectible_reason="subscription_canceled", attempt_count=0), NOTHING),
    (bill(**GIVEN_UP, uncollectible_reason="what_comes_next"), FINALIZED),
    (bill(**GIVEN_UP, uncollectible_reason="subscription_paused"), NOTHING),
    (bill(**GIVEN_UP, billing_reason="subscription_create", subscription_status="canceled"), NOTHING),
    # Sent.
    (bill(**SENT), NOW - DAY),
    (bill(**SENT | {"due_date": NOW}), NOTHING),
    (bill(**SENT | {"due_date": NOW + DAY}), NOTHING),
    (bill(**SENT | {"due_date": NOW + DAY, "attempt_count": 2}), NOTHING),
    (bill(**SENT | {"due_date": None}), NOTHING),
    (bill(**SENT, billing_reason="subscription_create"), NOW - DAY),
    (bill(**SENT, **GIVEN_UP, marked_uncollectible_at=NOW), NOW - DAY),
    (bill(**SENT, **GIVEN_UP, marked_uncollectible_at=NOW - 2 * DAY), NOTHING),
    (bill(**SENT, **GIVEN_UP), NOTHING),
    (
        bill(**SENT, **GIVEN_UP, marked_uncollectible_at=NOW, uncollectible_reason="payment_not_received"),
        NOW - DAY,
    ),
    (
        bill(**SENT, **GIVEN_UP, marked_uncollectible_at=NOW, uncollectible_reason="subscription_paused"),
        NOTHING,
    ),
]


@pytest.mark.parametrize(("given", "since"), CASES)
def test_bill_is_a_debt_once_payment_was_asked_for_in_vain(
    given: MirroredInvoice, since: datetime | None
) -> None:
    assert find_debt(given, NOW) == (None if since is None else Debt("in_1", 999, "usd", since))


@pytest.mark.parametrize(
    "paid", [bill(amount_paid=400, amount_remaining=599), bill(amount_paid=400, amount_remaining=None)]
)
def test_partly_paid_bill_is_a_debt_for_the_rest(paid: MirroredInvoice) -> None:
    debt = find_debt(paid, NOW)
    assert debt is not None
    assert debt.amount == 599


def test_every_row_decides_a_case_and_names_its_source() -> None:
    deciding = {next(row.name for row in DEBT_RULES if row.fits(given, NOW)) for given, _ in CASES}
    assert deciding == {row.name for row in DEBT_RULES}
    assert all(row.source.startswith("https://docs.stripe.com/") for row in DEBT_RULES)


async def test_bill_given_up_without_an_attempt_keeps_nobody_from_buying(
    world: BillingWorld, client: httpx.AsyncClient, customer: str
) -> None:
    invoice = await bill_by_hand(world, customer)
    await world.shop.sdk.v1.invoices.mark_uncollectible_async(invoice.id)
    await end_subscription(world)
    assert await url_of(client)


async def test_bill_given_up_after_a_failed_attempt_is_a_debt_that_is_named(
    world: BillingWorld, client: httpx.AsyncClient, customer: str
) -> None:
    invoice = await bill_by_hand(world, customer)
    since = world.stripe.clock.now().replace(microsecond=0)
    await fail_to_pay(world, customer, invoice)
    await world.shop.sdk.v1.invoices.mark_uncollectible_async(invoice.id)
    await end_subscription(world)
    answer = await buy(client)
    assert (answer.status_code, answer.json()["detail"]) == (402, "user has overdue invoices")
    (debt,) = answer.json()["debts"]
    at = datetime.fromisoformat(debt.pop("since"))
    assert abs(at - since) < timedelta(seconds=2)
    assert debt == {"invoice": invoice.id, "amount": 999, "currency": "usd"}


@pytest.mark.parametrize("behavior", ["keep_as_draft", "mark_uncollectible", "void"])
async def test_bills_of_a_pause_are_no_debts(
    world: BillingWorld, client: httpx.AsyncClient, customer: str, behavior: Any
) -> None:
    (subscription,) = world.held("subscription")
    params: Any = {"pause_collection": {"behavior": behavior}}
    await world.shop.sdk.v1.subscriptions.update_async(subscription["id"], params)
    await world.stripe.move_to(world.stripe.now + MONTH_SECONDS)
    await end_subscription(world)
    assert len(world.held("invoice")) == 2
    assert await url_of(client)


async def test_bill_from_before_a_pause_stays_a_debt(
    world: BillingWorld, client: httpx.AsyncClient, customer: str
) -> None:
    await break_the_card(world, customer)
    await world.stripe.move_to(world.stripe.now + MONTH_SECONDS)
    (subscription,) = world.held("subscription")
    params: Any = {"pause_collection": {"behavior": "mark_uncollectible"}}
    await world.shop.sdk.v1.subscriptions.update_async(subscription["id"], params)
    await world.mirror()
    assert (await buy(client)).status_code == 402


async def test_renewal_that_failed_for_good_is_a_debt(
    world: BillingWorld, client: httpx.AsyncClient, customer: str
) -> None:
    await break_the_card(world, customer)
    await world.stripe.move_to(world.stripe.now + 2 * MONTH_SECONDS)
    await world.mirror()
    (subscription,) = world.held("subscription")
    assert subscription["status"] == "canceled"
    assert (await buy(client)).status_code == 402


async def test_sent_bill_is_a_debt_once_its_due_date_is_past(
    world: BillingWorld, client: httpx.AsyncClient, customer: str
) -> None:
    invoice = await bill_by_hand(world, customer, collection_method="send_invoice", days_until_due=3)
    await end_subscription(world)
    due = invoice.due_date
    assert due is not None
    await world.stripe.move_to(due - 60)
    assert await url_of(client)
    await world.stripe.move_to(due + 1)
    answer = await buy(client)
    assert (answer.status_code, answer.json()["detail"]) == (402, "user has overdue invoices")
    (debt,) = answer.json()["debts"]
    assert datetime.fromisoformat(debt["since"]) == datetime.fromtimestamp(due, UTC)
    await world.shop.sdk.v1.invoices.pay_async(invoice.id, {"paid_out_of_band": True})
    await world.mirror()
    assert await url_of(client)


async def test_sent_subscription_is_past_due_after_its_due_date_and_its_bill_a_debt(
    world: BillingWorld, client: httpx.AsyncClient, customer: str
) -> None:
    await end_subscription(world)
    (price,) = world.held("price")
    sent: Any = {"collection_method": "send_invoice", "days_until_due": 5}
    made = await world.shop.subscription(customer=customer, price=price["id"], **sent)
    await world.mirror()
    assert (await buy(client)).status_code == 409
    await world.stripe.move_to(world.stripe.now + 5 * 86_400 + 1)
    await world.mirror()
    assert (await world.shop.sdk.v1.subscriptions.retrieve_async(made.id)).status == "past_due"
    assert (await buy(client)).status_code == 402
