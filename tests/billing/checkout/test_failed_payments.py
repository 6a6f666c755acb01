"""Payments that fail days after the checkout: told as failed, and the place is free at once."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from billing_world import BillingWorld, buy, register, url_of
from clicking import Browser

from mainstem.billing.assembly import StripeServices
from mainstem.billing.checkout.storage import next_look
from mainstem.sandbox.stand_ins.faults import Kind

HOUR = 3_601
"""An hour and a second, in seconds: the moved clock keeps whole seconds alone."""
PENDING = (409, "the payment of the last checkout is still pending")
HAS_ONE = (409, "user already has an active subscription")


def status_and_detail(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["detail"]


async def return_page(world: BillingWorld, client: httpx.AsyncClient, session: str) -> tuple[str, str]:
    """Return the state and the text of the page that a buyer comes back to."""
    async with httpx.AsyncClient(base_url=client.base_url) as visitor:
        answer = await visitor.get("/billing/return", params={"session_id": session})
    assert answer.status_code == 200
    return answer.text.partition('data-state="')[2].partition('"')[0], answer.text


@pytest.fixture
async def pending(world: BillingWorld, client: httpx.AsyncClient, browser: Browser) -> str:
    """The session of a checkout whose payment is under way."""
    await register(client)
    await browser.open(await url_of(client))
    await browser.click("pay-later")
    (session,) = world.held("checkout.session")
    found: str = session["id"]
    return found


@pytest.fixture
async def failed(world: BillingWorld, browser: Browser, pending: str) -> str:
    """The session of a checkout whose payment has failed."""
    await settle(world, browser, pending, "payment-fail")
    return pending


async def settle(world: BillingWorld, browser: Browser, session: str, button: str) -> None:
    await browser.open(f"{world.stripe.url}/stripe/_pages/checkout/{session}")
    await browser.click(button)


def statuses(world: BillingWorld, kind: str) -> list[str]:
    return [held["status"] for held in world.held(kind)]


async def reservations(world: BillingWorld) -> list[str]:
    return [row["status"] for row in await world.reservations()]


async def pay_again(world: BillingWorld) -> None:
    """Have the first bill be paid after all, by a card."""
    (invoice,) = world.held("invoice")
    method = await world.shop.pay_with(invoice["customer"], "pm_card_visa")
    await world.shop.sdk.v1.invoices.pay_async(invoice["id"], {"payment_method": method.id})


async def test_failed_payment_is_told_on_the_return_page_with_the_way_back(
    world: BillingWorld, client: httpx.AsyncClient, failed: str
) -> None:
    state, text = await return_page(world, client, failed)
    assert state == "failed"
    assert "Payment failed" in text
    assert "try again" in text
    assert 'id="home"' in text
    assert 'http-equiv="refresh"' not in text


@pytest.mark.parametrize("hours", [0, 12, 23])
async def test_after_a_failed_payment_the_buyer_can_pay_anew_at_once(
    world: BillingWorld, client: httpx.AsyncClient, browser: Browser, failed: str, hours: int
) -> None:
    await world.mirror()
    await world.stripe.move_to(world.stripe.now + hours * HOUR)
    url = await url_of(client)
    assert await url_of(client) == url
    assert statuses(world, "checkout.session") == ["complete", "open"]
    assert set(statuses(world, "subscription")) <= {"canceled", "incomplete_expired"}
    assert statuses(world, "invoice") == ["void"]
    assert await reservations(world) == ["failed", "open"]
    await browser.open(url)
    await browser.click("pay")
    assert statuses(world, "subscription")[1:] == ["active"]
    assert status_and_detail(await buy(client)) == HAS_ONE


async def test_payment_under_way_stays_pending_for_as_long_as_it_takes(
    world: BillingWorld, client: httpx.AsyncClient, pending: str
) -> None:
    for hours in (0, 12, 10):
        await world.stripe.move_to(world.stripe.now + hours * HOUR)
        assert status_and_detail(await buy(client)) == PENDING
        assert (await return_page(world, client, pending))[0] == "pending"
    assert statuses(world, "subscription") == ["incomplete"]


async def test_payment_under_way_is_pending_though_its_subscription_ended(
    world: BillingWorld, client: httpx.AsyncClient, pending: str
) -> None:
    """The debit goes on, and pays the invoice; a second session could be paid beside it."""
    (subscription,) = world.held("subscription")
    await world.shop.sdk.v1.subscriptions.cancel_async(subscription["id"])
    assert status_and_detail(await buy(client)) == PENDING
    assert (await return_page(world, client, pending))[0] == "pending"
    assert statuses(world, "invoice") == ["open"]


async def test_what_ended_after_a_failed_payment_is_hinted_at(
    world: BillingWorld, client: httpx.AsyncClient, failed: str
) -> None:
    await url_of(client)
    assert [kind for kind, _ in await world.hints()] == ["customer", "subscription", "invoice"]


async def test_payment_that_succeeds_just_before_it_is_given_up_is_kept(
    world: BillingWorld, client: httpx.AsyncClient, failed: str
) -> None:
    intents = json.dumps(await payments(world))
    await pay_again(world)
    (session,) = world.held("checkout.session")
    stale = json.dumps(as_it_was(session, world))
    # The first look is answered as of before the payment.
    world.break_(Kind.STATUS, f"/v1/checkout/sessions/{failed}", status=200, body=stale)
    world.break_(Kind.STATUS, "/v1/invoice_payments", status=200, body=intents)
    assert status_and_detail(await buy(client)) == HAS_ONE
    assert statuses(world, "subscription") == ["active"]
    assert statuses(world, "invoice") == ["paid"]
    assert len(world.held("checkout.session")) == 1


async def payments(world: BillingWorld) -> Any:
    (invoice,) = world.held("invoice")
    params: Any = {"invoice": invoice["id"], "expand": ["data.payment.payment_intent"]}
    return (await world.shop.sdk.v1.invoice_payments.list_async(params)).to_dict()


def as_it_was(session: dict[str, Any], world: BillingWorld) -> dict[str, Any]:
    (subscription,), (invoice,) = world.held("subscription"), world.held("invoice")
    return {
        **session,
        "subscription": {**subscription, "status": "incomplete"},
        "invoice": {**invoice, "status": "open"},
    }


async def test_refusal_to_void_an_unpaid_bill_cancels_nothing(
    world: BillingWorld, client: httpx.AsyncClient, failed: str
) -> None:
    world.break_(Kind.STATUS, "/v1/invoices/.*/void", method="POST", status=403)
    assert (await buy(client)).status_code == 502
    assert statuses(world, "subscription") == ["incomplete"]
    assert await reservations(world) == ["open"]
    assert await url_of(client)


@pytest.mark.parametrize("path", ["/v1/invoices/.*/void", "/v1/subscriptions/sub_", "/v1/invoice_payments"])
async def test_missing_part_of_a_failed_purchase_frees_no_place(
    world: BillingWorld, client: httpx.AsyncClient, failed: str, path: str
) -> None:
    """While the purchase is not ended at Stripe, a second session could be paid beside it."""
    missing = {"code": "resource_missing", "message": "No such object: 'in_1'", "param": "id"}
    world.break_(Kind.STATUS, path, status=404, body=json.dumps({"error": missing}), remaining=None)
    answer = await buy(client)
    assert (answer.status_code, answer.json()["stripe"]["code"]) == (502, "resource_missing")
    services: StripeServices = await world.open_services()
    await world.stripe.move_to(world.stripe.now + HOUR)
    assert await services.sweep.work() == 1
    assert await reservations(world) == ["open"]
    world.stripe.faults.clear()
    assert await url_of(client)
    assert await reservations(world) == ["failed", "open"]


@pytest.mark.usefixtures("failed")
@pytest.mark.parametrize("path", ["/v1/invoices/.*/void", "/v1/subscriptions/sub_"])
@pytest.mark.parametrize("kind", [Kind.LOSE_ANSWER, Kind.DROP])
async def test_answer_lost_while_a_purchase_is_given_up_changes_nothing(
    world: BillingWorld, client: httpx.AsyncClient, path: str, kind: Kind
) -> None:
    world.break_(kind, path)
    assert await url_of(client)
    assert statuses(world, "subscription") == ["canceled"]
    assert statuses(world, "invoice") == ["void"]


async def test_many_callers_after_a_failed_payment_get_one_session(
    world: BillingWorld, client: httpx.AsyncClient, failed: str
) -> None:
    other = await world.serve(instance="billing-2")
    urls = await asyncio.gather(*(url_of(one) for one in (client, other) * 5))
    assert len(set(urls)) == 1
    assert statuses(world, "checkout.session") == ["complete", "open"]
    assert await reservations(world) == ["failed", "open"]
    assert len(await world.hints()) == 3


async def test_worker_frees_a_failed_purchase_that_nobody_asks_about(
    world: BillingWorld, client: httpx.AsyncClient, failed: str
) -> None:
    services: StripeServices = await world.open_services()
    await world.stripe.move_to(world.stripe.now + HOUR)
    assert await services.sweep.work() == 1
    assert await reservations(world) == ["failed"]
    assert statuses(world, "subscription") == ["canceled"]
    assert statuses(world, "invoice") == ["void"]
    assert [kind for kind, _ in await world.hints()] == ["customer", "subscription", "invoice"]
    assert await services.sweep.work() == 0


async def test_worker_that_may_not_end_a_failed_purchase_backs_off_and_stores_the_cause(
    world: BillingWorld, client: httpx.AsyncClient, failed: str
) -> None:
    services: StripeServices = await world.open_services()
    error = {"message": "The key lacks `rak_invoice_write`"}
    world.break_(
        Kind.STATUS, "/v1/invoices/.*/void", status=403, body=json.dumps({"error": error}), remaining=None
    )
    await world.stripe.move_to(world.stripe.now + HOUR)
    assert [await services.sweep.work(), await services.sweep.work()] == [1, 0]
    (reservation,) = await world.reservations()
    assert (reservation["failures"], reservation["lease_token"]) == (1, None)
    assert reservation["last_error"] == "The key lacks `rak_invoice_write` (HTTP 403)"
    world.stripe.faults.clear()
    await world.stripe.move_to(world.stripe.now + 60)
    assert await services.sweep.work() == 1
    assert await reservations(world) == ["failed"]


async def test_return_page_has_the_worker_free_a_failed_purchase_at_once(
    world: BillingWorld, client: httpx.AsyncClient, failed: str
) -> None:
    services: StripeServices = await world.open_services()
    assert await services.sweep.work() == 0
    await return_page(world, client, failed)
    assert statuses(world, "subscription") == ["incomplete"]
    assert await services.sweep.work() == 1
    assert await reservations(world) == ["failed"]
    assert (await return_page(world, client, failed))[0] == "failed"


async def test_worker_looks_at_a_pending_payment_every_hour(
    world: BillingWorld, client: httpx.AsyncClient, browser: Browser, pending: str
) -> None:
    services: StripeServices = await world.open_services()
    looks = []
    for _ in range(20):
        await world.stripe.move_to(world.stripe.now + HOUR)
        looks.append(await services.sweep.work())
    assert looks == [1] * 20
    assert await reservations(world) == ["open"]
    await settle(world, browser, pending, "payment-succeed")
    await world.stripe.move_to(world.stripe.now + HOUR)
    assert await services.sweep.work() == 1
    assert await reservations(world) == ["done"]
    assert statuses(world, "subscription") == ["active"]


@pytest.mark.parametrize(
    ("status", "age", "expected"),
    [
        ("open", 0, 60),
        ("open", 30, 90),
        ("open", 60, 120),
        ("open", 120, 240),
        ("open", 960, 1_441),
        ("open", 1_441, 1_442),
        ("open", 1_500, 1_501),
        ("complete", 0, 60),
        ("complete", 960, 1_020),
        ("complete", 9_000, 9_060),
    ],
)
def test_open_session_is_looked_at_as_its_age_doubles_and_a_pending_one_hourly(
    status: str, age: int, expected: int
) -> None:
    opened_at = datetime(2031, 1, 1, tzinfo=UTC)
    session = {"status": status, "expires_at": int((opened_at + timedelta(days=1)).timestamp())}
    found = next_look(session, opened_at, opened_at + timedelta(minutes=age))
    assert found - opened_at == timedelta(minutes=expected)
