"""Cancellations taken back: by the signal that was set, read back, and never claimed where it is not so."""

import asyncio
from typing import Any

import pytest
from billing_world import BillingWorld
from hypothesis import given, settings
from hypothesis import strategies as st
from operating import (
    CHANGE,
    SIGNALS,
    acted,
    cancel,
    errors,
    is_leaving,
    let_leases_end,
    operations,
    pass_by,
    shown,
    stay,
    updates,
)
from properties import BOUNDED, examples

from mainstem.billing.assembly import StripeServices
from mainstem.billing.operations.runner import ENDED, STILL_SET
from mainstem.billing.stripe.refusals import StripeRefusedError
from mainstem.common.errors import BadGatewayError, ConflictError, MainstemError, UnavailableError
from mainstem.sandbox.stand_ins.faults import Kind


async def test_each_signal_is_unset_by_the_parameter_that_set_it(
    world: BillingWorld, services: StripeServices
) -> None:
    subscription = (await world.shop.subscription()).id
    for signal, change in (("flag", {"cancel_at_period_end": "false"}), ("time", {"cancel_at": ""})):
        await cancel(world, subscription, signal)
        assert await stay(services, subscription) == 1
        assert not is_leaving(world, subscription)
        assert updates(world)[-1][0] == change
    assert await stay(services, subscription) == 1
    assert len(updates(world)) == 2, "nothing was left to undo"


async def test_two_signals_are_unset_in_two_requests_under_two_keys(
    world: BillingWorld, services: StripeServices
) -> None:
    subscription = (await world.shop.subscription()).id
    await cancel(world, subscription)
    both = shown(world, subscription, cancel_at_period_end=True)
    world.break_(Kind.STATUS, f"{CHANGE}{subscription}", method="GET", status=200, body=both)
    await stay(services, subscription)
    assert not is_leaving(world, subscription)
    (first, key), (second, other) = updates(world)
    assert (first, second) == ({"cancel_at_period_end": "false"}, {"cancel_at": ""})
    assert key != other


async def test_cancellation_that_is_still_there_is_not_done(
    world: BillingWorld, services: StripeServices, leaving: str
) -> None:
    pretence = {"status": 200, "body": shown(world, leaving, cancel_at=None, cancel_at_period_end=False)}
    world.break_(Kind.STATUS, CHANGE, method="POST", remaining=None, **pretence)
    with pytest.raises(BadGatewayError, match="still set"):
        await stay(services, leaving)
    assert await operations(world) == [("failed", 1)]
    assert await errors(world) == [STILL_SET]
    world.stripe.faults.clear()
    await stay(services, leaving)
    assert not is_leaving(world, leaving)


async def test_subscription_that_has_ended_is_told_so(
    world: BillingWorld, services: StripeServices, leaving: str
) -> None:
    await world.shop.sdk.v1.subscriptions.cancel_async(leaving)
    with pytest.raises(ConflictError, match="the subscription has ended"):
        await stay(services, leaving)
    assert (await errors(world), updates(world)) == ([ENDED], [])
    assert await world.hints() == [("subscription", "received")], "the mirror has not heard of it"


async def test_subscription_that_ends_just_then_is_told_so(
    world: BillingWorld, services: StripeServices, leaving: str
) -> None:
    before = shown(world, leaving)
    await world.shop.sdk.v1.subscriptions.cancel_async(leaving)
    world.break_(Kind.STATUS, CHANGE, method="GET", status=200, body=before)
    with pytest.raises(StripeRefusedError, match="the subscription has ended") as refused:
        await stay(services, leaving)
    assert refused.value.status == 409


@pytest.mark.parametrize("is_shown", [True, False], ids=["with a signal", "without one"])
async def test_end_that_a_schedule_sets_is_not_undone_and_not_claimed_to_be(
    world: BillingWorld, services: StripeServices, is_shown: bool
) -> None:
    subscription = (await world.shop.subscription()).id
    schedules = world.shop.sdk.v1.subscription_schedules
    schedule = (await schedules.create_async({"from_subscription": subscription})).id
    await schedules.update_async(schedule, {"end_behavior": "cancel"})
    if not is_shown:
        hidden = shown(world, subscription, cancel_at=None)
        world.break_(Kind.STATUS, f"{CHANGE}{subscription}", method="GET", status=200, body=hidden)
    with pytest.raises(MainstemError, match="a subscription schedule") as refused:
        await stay(services, subscription)
    assert refused.value.status == 409
    (error,) = await errors(world)
    assert "change or release the schedule at Stripe" in str(error)
    await schedules.release_async(schedule)
    assert await stay(services, subscription) == 1


async def test_crash_between_change_and_read_back_is_finished_by_the_worker(
    world: BillingWorld, services: StripeServices, leaving: str
) -> None:
    world.break_(Kind.DELAY, CHANGE, method="GET", delay_seconds=0.01)
    world.break_(Kind.DROP, CHANGE, method="GET", remaining=None)
    with pytest.raises(UnavailableError):
        await stay(services, leaving, 0.5)
    assert (await operations(world), is_leaving(world, leaving)) == ([("wanted", 1)], False)
    world.stripe.faults.clear()
    await let_leases_end(world)
    assert await services.operations.work() == 1
    assert await operations(world) == [("done", 1)]
    assert await world.hints() == [("subscription", "received")]
    assert acted(world) == 1


async def test_cancellation_just_before_the_read_back_stays(
    world: BillingWorld, services: StripeServices, leaving: str
) -> None:
    world.break_(Kind.DELAY, CHANGE, method="GET", delay_seconds=0.01)
    world.break_(Kind.DELAY, CHANGE, method="GET", delay_seconds=1.0)
    staying = asyncio.create_task(stay(services, leaving))
    async with asyncio.timeout(5):
        while is_leaving(world, leaving):  # noqa: ASYNC110 -- what happens elsewhere sets no event of ours
            await asyncio.sleep(0.02)
    await pass_by(world, 60)
    await cancel(world, leaving)
    with pytest.raises(ConflictError, match="was cancelled again"):
        await staying
    assert is_leaving(world, leaving)


async def test_new_wish_is_not_answered_by_the_key_of_an_older_one(
    world: BillingWorld, services: StripeServices, leaving: str
) -> None:
    world.break_(Kind.LOSE_ANSWER, CHANGE, method="POST", remaining=None)
    with pytest.raises(UnavailableError):
        await stay(services, leaving, 0.5)
    world.stripe.faults.clear()
    await let_leases_end(world)
    await pass_by(world, 60)
    await cancel(world, leaving)
    await pass_by(world, 60)
    await stay(services, leaving)
    assert not is_leaving(world, leaving)
    assert await operations(world) == [("done", 2)]


async def test_caller_who_joins_an_operation_gets_its_own_cancellation_undone(
    world: BillingWorld, services: StripeServices, leaving: str
) -> None:
    before = len(updates(world))
    clean = shown(world, leaving, cancel_at=None, cancel_at_period_end=False)
    world.break_(Kind.STATUS, f"{CHANGE}{leaving}", method="GET", status=200, body=clean, delay_seconds=0.5)
    first = asyncio.create_task(stay(services, leaving))
    async with asyncio.timeout(5):
        while not await operations(world):  # noqa: ASYNC110 -- as above
            await asyncio.sleep(0.02)
    other = await world.open_services(instance="other")
    assert [await stay(other, leaving), await first] == [1, 1]
    assert not is_leaving(world, leaving)
    assert len(updates(world)) == before + 1


FAULTS: Any = {
    "lose": {"kind": Kind.LOSE_ANSWER, "method": "POST", "remaining": None},
    "drop": {"kind": Kind.DROP, "method": "GET", "remaining": 2},
    "kept": {
        "kind": Kind.STATUS,
        "method": "POST",
        "status": 500,
        "headers": {"Idempotent-Replayed": "true"},
    },
}
STEPS = ("flag", "time", "stay", "work", *FAULTS)


@settings(BOUNDED, max_examples=examples(12))
@given(steps=st.lists(st.sampled_from(STEPS), min_size=2, max_size=7))
async def test_last_word_wins_whatever_is_lost_in_between(
    world: BillingWorld, services: StripeServices, steps: list[str]
) -> None:
    subscription = (await world.shop.subscription()).id
    world.stripe.faults.clear()
    last = "stay"
    for step in steps:
        await pass_by(world, 5)
        await let_leases_end(world)
        if step in SIGNALS:
            world.stripe.faults.clear()
            await cancel(world, subscription, step)
            last = "cancel"
        elif step in FAULTS:
            world.break_(
                FAULTS[step]["kind"], CHANGE, **{k: v for k, v in FAULTS[step].items() if k != "kind"}
            )
        elif step == "work":
            await services.operations.work()
        else:
            last = "stay" if await succeeds(services, subscription) else "unknown"
            assert last == "unknown" or not is_leaving(world, subscription)
        if last == "cancel":
            assert is_leaving(world, subscription), steps
    world.stripe.faults.clear()
    await let_leases_end(world)
    await pass_by(world, 60)
    await services.operations.work()
    assert is_leaving(world, subscription) == (last == "cancel"), steps
    await stay(services, subscription)
    assert not is_leaving(world, subscription)


async def succeeds(services: StripeServices, subscription: str) -> bool:
    try:
        await stay(services, subscription, 0.4)
    except UnavailableError:
        return False
    return True
