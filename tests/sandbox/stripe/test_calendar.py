"""What happens at Stripe by itself when the clock moves: in order of time, each at its own instant."""

from calendar import isleap
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe
from stripe_shop import Shop, World

DAY = 86_400
RENEWED = [
    "customer.subscription.updated",
    "invoice.created",
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_succeeded",
]


def _period(subscription: stripe.Subscription) -> tuple[int, int]:
    item = subscription["items"].data[0]
    return item.current_period_start, item.current_period_end


async def _later(shop: Shop, count: int) -> list[stripe.Event]:
    """Return the events after the first `count`, the oldest first."""
    return (await shop.events())[count:]


async def test_a_life_from_the_first_invoice_to_the_end(
    shop: Shop, sdk: stripe.StripeClient, world: World
) -> None:
    subscription = await shop.subscription()
    start, end = _period(subscription)
    before = len(await shop.events())

    await world.move_to(end)
    renewed = await sdk.v1.subscriptions.retrieve_async(subscription.id)
    assert (renewed.status, _period(renewed)[0]) == ("active", end)
    happened = await _later(shop, before)
    assert [event.type for event in happened] == RENEWED
    assert {event.created for event in happened} == {end}
    assert {event.request.id for event in happened if event.request} == {None}
    former = happened[0].to_dict()["data"]["previous_attributes"]
    assert former["items"]["data"][0]["current_period_start"] == start
    invoice = await sdk.v1.invoices.retrieve_async(str(renewed.latest_invoice))
    assert (invoice.billing_reason, invoice.status) == ("subscription_cycle", "paid")
    assert (invoice.period_start, invoice.period_end) == (start, end)
    assert (invoice.lines.data[0].period.start, invoice.lines.data[0].period.end) == _period(renewed)

    await sdk.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    _, last = _period(renewed)
    before = len(await shop.events())
    await world.move_to(last + DAY)
    ended = await sdk.v1.subscriptions.retrieve_async(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", last)
    assert [(e.type, e.created) for e in await _later(shop, before)] == [
        ("customer.subscription.deleted", last)
    ]
    assert world.stand_in.next_due() is None


async def test_a_jump_of_a_year_renews_all_in_order_of_time(
    shop: Shop, sdk: stripe.StripeClient, world: World
) -> None:
    monthly = await shop.subscription()
    await world.move_to(world.now + 5 * DAY + 3600)
    weekly = await shop.subscription(price=(await shop.price(100, "week")).id)
    before = len(await shop.events())
    await world.move_to(world.now + 365 * DAY)
    happened = await _later(shop, before)
    times = [event.created for event in happened]
    assert times == sorted(times)
    owners = [e.data.object["id"] for e in happened if e.type == "customer.subscription.updated"]
    assert (owners.count(monthly.id), owners.count(weekly.id)) == (12, 52)
    assert len({event.created for event in happened}) == 64


async def test_what_was_due_before_a_request_has_happened_for_it(
    shop: Shop, sdk: stripe.StripeClient, world: World
) -> None:
    subscription = await shop.subscription()
    _, end = _period(subscription)
    world.clock.move_to(datetime.fromtimestamp(end + DAY, UTC))
    renewed = await sdk.v1.subscriptions.retrieve_async(subscription.id)
    assert _period(renewed)[0] == end
    assert (await shop.events())[-1].created == end


async def test_a_month_keeps_the_anchors_day(shop: Shop, sdk: stripe.StripeClient, world: World) -> None:
    year = world.clock.now().year + 1
    await world.move_to(int(datetime(year, 1, 31, 12, tzinfo=UTC).timestamp()))
    subscription = await shop.subscription()
    days = []
    for _ in range(4):
        _, end = _period(await sdk.v1.subscriptions.retrieve_async(subscription.id))
        days.append(datetime.fromtimestamp(end, UTC).strftime("%d %b"))
        await world.move_to(end)
    assert days == ["29 Feb" if isleap(year) else "28 Feb", "31 Mar", "30 Apr", "31 May"]


async def test_a_trial_gives_notice_and_then_charges(
    shop: Shop, sdk: stripe.StripeClient, world: World
) -> None:
    subscription = await shop.subscription(trial_period_days=14)
    trial_end = subscription.trial_end
    assert trial_end is not None
    assert (subscription.status, _period(subscription)[1]) == ("trialing", trial_end)
    first = await sdk.v1.invoices.retrieve_async(str(subscription.latest_invoice))
    assert (first.status, first.total) == ("paid", 0)
    before = len(await shop.events())
    await world.move_to(trial_end)
    happened = await _later(shop, before)
    assert [(event.type, event.created) for event in happened] == [
        ("customer.subscription.trial_will_end", trial_end - 3 * DAY),
        *((kind, trial_end) for kind in RENEWED),
    ]
    former = happened[1].to_dict()["data"]["previous_attributes"]
    assert former["status"] == "trialing"
    active = await sdk.v1.subscriptions.retrieve_async(subscription.id, {"expand": ["latest_invoice"]})
    assert isinstance(active.latest_invoice, stripe.Invoice)
    assert (active.status, active.latest_invoice.amount_paid) == ("active", 999)
    assert active.billing_cycle_anchor == trial_end


async def test_a_short_trial_gives_notice_at_once_and_a_trial_can_be_cut_short(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    subscription = await shop.subscription(trial_period_days=2)
    assert (await shop.types())[-1] == "customer.subscription.trial_will_end"
    active = await sdk.v1.subscriptions.update_async(subscription.id, {"trial_end": "now"})
    assert active.status == "active"
    assert (await shop.types())[-5:] == RENEWED


@pytest.mark.parametrize(("behavior", "status"), [("cancel", "canceled"), ("create_invoice", "past_due")])
async def test_a_trial_ends_without_a_way_to_pay(
    shop: Shop, sdk: stripe.StripeClient, world: World, behavior: Any, status: str
) -> None:
    subscription = await shop.subscription(
        None,
        trial_period_days=5,
        trial_settings={"end_behavior": {"missing_payment_method": behavior}},
    )
    assert subscription.trial_end is not None
    await world.move_to(subscription.trial_end)
    assert (await sdk.v1.subscriptions.retrieve_async(subscription.id)).status == status


async def test_a_failing_card_is_tried_four_times_and_then_the_subscription_ends(
    shop: Shop, sdk: stripe.StripeClient, world: World
) -> None:
    subscription = await shop.subscription()
    await shop.pay_with(str(subscription.customer), "pm_card_chargeCustomerFail")
    _, end = _period(subscription)
    before = len(await shop.events())
    await world.move_to(end)
    late = await sdk.v1.subscriptions.retrieve_async(subscription.id)
    assert late.status == "past_due"
    invoice = await sdk.v1.invoices.retrieve_async(str(late.latest_invoice))
    assert (invoice.status, invoice.next_payment_attempt) == ("open", end + 3 * DAY)
    await world.move_to(end + 20 * DAY)
    happened = [(event.type, event.created - end) for event in await _later(shop, before)]
    assert happened == [
        ("customer.subscription.updated", 0),
        ("invoice.created", 0),
        ("invoice.finalized", 0),
        ("invoice.payment_failed", 0),
        ("customer.subscription.updated", 0),
        ("invoice.payment_failed", 3 * DAY),
        ("invoice.payment_failed", 8 * DAY),
        ("invoice.payment_failed", 15 * DAY),
        ("customer.subscription.deleted", 15 * DAY),
        ("invoice.updated", 15 * DAY),
    ]
    ended = await sdk.v1.subscriptions.retrieve_async(subscription.id)
    assert ended.cancellation_details is not None
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")


async def test_a_new_card_is_charged_at_the_next_retry(
    shop: Shop, sdk: stripe.StripeClient, world: World
) -> None:
    subscription = await shop.subscription()
    await shop.pay_with(str(subscription.customer), "pm_card_chargeCustomerFail")
    _, end = _period(subscription)
    await world.move_to(end)
    await shop.pay_with(str(subscription.customer), "pm_card_visa")
    await world.move_to(end + 3 * DAY)
    assert (await shop.types())[-3:] == [
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
    ]
    assert (await sdk.v1.subscriptions.retrieve_async(subscription.id)).status == "active"


async def test_a_cancellation_at_an_instant_comes_between_renewals(
    shop: Shop, sdk: stripe.StripeClient, world: World
) -> None:
    subscription = await shop.subscription()
    _, end = _period(subscription)
    await sdk.v1.subscriptions.update_async(subscription.id, {"cancel_at": end + 7 * DAY})
    before = len(await shop.events())
    await world.move_to(end + 8 * DAY)
    assert [event.type for event in await _later(shop, before)] == [*RENEWED, "customer.subscription.deleted"]
    assert (await sdk.v1.subscriptions.retrieve_async(subscription.id)).ended_at == end + 7 * DAY
