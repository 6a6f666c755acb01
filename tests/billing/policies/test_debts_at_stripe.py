"""Debts of the mirror: none is told that Stripe itself does not show, or whose payment is under way."""

import httpx
import pytest
from billing_world import BillingWorld, buy, url_of
from owing import MONTH_SECONDS, bill_by_hand, break_the_card, end_subscription, fail_to_pay

from mainstem.sandbox.stand_ins.faults import Kind

HERE_AND_NOW = {"Idempotent-Replayed": "true"}
"""Has no request repeated: what Stripe answers now it answers for good."""


@pytest.fixture
async def debtor(world: BillingWorld, client: httpx.AsyncClient, customer: str) -> str:
    """The invoice of a renewal that failed, which the mirror knows."""
    await break_the_card(world, customer)
    await world.stripe.move_to(world.stripe.now + MONTH_SECONDS)
    await end_subscription(world)
    assert (await buy(client)).status_code == 402
    (invoice,) = [one for one in world.held("invoice") if one["status"] == "open"]
    found: str = invoice["id"]
    return found


async def test_renewal_whose_bank_debit_is_under_way_is_no_debt(
    world: BillingWorld, client: httpx.AsyncClient, debtor: str
) -> None:
    """Stripe counts an attempt when the debit begins, and hears of its end after days."""
    (intent,) = world.stripe.stand_in.account.store.select(
        "payment_intent", lambda one: one["invoice"] == debtor
    )
    intent["status"] = "processing"
    assert await url_of(client)
    intent["status"] = "requires_payment_method"
    assert (await buy(client)).status_code == 402


async def test_debt_that_was_paid_just_now_is_none_though_the_mirror_has_not_heard(
    world: BillingWorld, client: httpx.AsyncClient, debtor: str
) -> None:
    await world.shop.sdk.v1.invoices.pay_async(debtor, {"paid_out_of_band": True})
    assert await url_of(client)


async def test_only_the_debts_that_stripe_shows_too_are_named(
    world: BillingWorld, client: httpx.AsyncClient, customer: str, debtor: str
) -> None:
    other = await bill_by_hand(world, customer)
    await fail_to_pay(world, customer, other)
    await world.mirror()
    assert [debt["invoice"] for debt in (await buy(client)).json()["debts"]] == [debtor, other.id]
    await world.shop.sdk.v1.invoices.void_invoice_async(debtor)
    assert [debt["invoice"] for debt in (await buy(client)).json()["debts"]] == [other.id]


@pytest.mark.parametrize(("status", "expected"), [(403, 402), (404, 402), (503, 503)])
async def test_debt_of_the_mirror_counts_where_stripe_does_not_show_the_invoice(
    world: BillingWorld, client: httpx.AsyncClient, debtor: str, status: int, expected: int
) -> None:
    world.break_(Kind.STATUS, f"/v1/invoices/{debtor}", status=status, headers=HERE_AND_NOW)
    assert (await buy(client)).status_code == expected


async def test_first_bill_of_a_subscription_that_started_is_a_debt(
    world: BillingWorld, client: httpx.AsyncClient, customer: str
) -> None:
    """Stripe may start a subscription while the bank debit of its first bill is under way."""
    await end_subscription(world)
    (price,) = world.held("price")
    await world.shop.pay_with(customer, "pm_card_chargeCustomerFail")
    made = await world.shop.subscription(customer=customer, price=price["id"])
    await world.mirror()
    assert made.status == "incomplete"
    assert await url_of(client)
    async with world.ingest.owner.transaction() as connection:
        started = "UPDATE stripe.subscription SET status = 'past_due' WHERE id = $1"
        await connection.execute(started, made.id)
    answer = await buy(client)
    assert (answer.status_code, len(answer.json()["debts"])) == (402, 1)
