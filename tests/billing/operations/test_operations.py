"""Operations: written down before they are tried, done once, and hinted at."""

import asyncio

import pytest
from billing_world import BillingWorld
from operating import (
    CHANGE,
    acted,
    cancel,
    is_leaving,
    let_leases_end,
    operations,
    pass_by,
    stay,
)

from mainstem.billing.assembly import StripeServices
from mainstem.billing.stripe.refusals import StripeRefusedError
from mainstem.common.errors import UnavailableError
from mainstem.sandbox.stand_ins.faults import Kind


async def test_what_was_done_is_hinted_at_in_the_commit_that_settles_it(
    world: BillingWorld, services: StripeServices, leaving: str
) -> None:
    assert await stay(services, leaving) == 1
    assert await operations(world) == [("done", 1)]
    (row,) = await world.rows("SELECT object_type, object_id, livemode FROM inbox.event")
    assert row == {"object_type": "subscription", "object_id": leaving, "livemode": False}


async def test_a_lost_answer_is_asked_for_again_and_acted_on_once(
    world: BillingWorld, services: StripeServices, leaving: str
) -> None:
    world.break_(Kind.LOSE_ANSWER, CHANGE, method="POST")
    await stay(services, leaving)
    assert acted(world) == 1
    assert await operations(world) == [("done", 1)]


async def test_the_worker_finds_out_what_became_of_it(
    world: BillingWorld, services: StripeServices, leaving: str
) -> None:
    world.break_(Kind.LOSE_ANSWER, CHANGE, method="POST", remaining=None)
    with pytest.raises(UnavailableError):
        await stay(services, leaving, 0.5)
    assert await operations(world) == [("wanted", 1)]
    assert await services.operations.work() == 0, "somebody holds it"
    world.stripe.faults.clear()
    await let_leases_end(world)
    assert await services.operations.work() == 1
    assert await operations(world) == [("done", 1)]
    assert acted(world) == 1
    assert await world.hints() == [("subscription", "received")]


async def test_an_operation_whose_answer_is_odd_is_in_no_others_way(
    world: BillingWorld, services: StripeServices, leaving: str
) -> None:
    other = await world.shop.subscription()
    await world.shop.sdk.v1.subscriptions.update_async(other.id, {"cancel_at_period_end": True})
    world.break_(Kind.DROP, CHANGE, method="POST", remaining=None)
    for one in (leaving, other.id):
        with pytest.raises(UnavailableError):
            await stay(services, one, 0.5)
    world.stripe.faults.clear()
    await let_leases_end(world)
    odd = '{"object": "subscription"}'
    world.break_(Kind.STATUS, f"{CHANGE}{leaving}", method="GET", status=200, body=odd)
    assert await services.operations.work() == 2
    assert sorted(await operations(world)) == [("done", 1), ("wanted", 1)]


async def test_two_who_want_the_same_at_once_have_it_done_once(
    world: BillingWorld, services: StripeServices, leaving: str
) -> None:
    world.break_(Kind.DELAY, CHANGE, method="POST", delay_seconds=0.3)
    other = await world.open_services(instance="other")
    told = await asyncio.gather(stay(services, leaving), stay(other, leaving))
    assert sorted(told) == [0, 1]
    assert acted(world) == 1
    assert await operations(world) == [("done", 1)]


async def test_a_refusal_is_final(world: BillingWorld, services: StripeServices) -> None:
    with pytest.raises(StripeRefusedError):
        await stay(services, "sub_of_nobody")
    assert await operations(world) == [("failed", 1)]
    assert await world.hints() == []


async def test_a_failure_that_its_key_repeats_for_good_is_tried_under_another(
    world: BillingWorld, services: StripeServices, leaving: str
) -> None:
    kept = {"Idempotent-Replayed": "true"}
    world.break_(Kind.STATUS, CHANGE, method="POST", status=500, headers=kept)
    with pytest.raises(UnavailableError):
        await stay(services, leaving)
    assert await operations(world) == [("wanted", 2)]
    await pass_by(world, 5)
    assert await services.operations.work() == 1
    assert await operations(world) == [("done", 2)]


async def test_what_is_too_old_is_not_done_any_more(
    world: BillingWorld, services: StripeServices, leaving: str
) -> None:
    world.break_(Kind.DROP, CHANGE, method="POST", remaining=None)
    with pytest.raises(UnavailableError):
        await stay(services, leaving, 0.5)
    world.stripe.faults.clear()
    await let_leases_end(world)
    await pass_by(world, 86_400)
    assert await services.operations.work() == 1
    assert await operations(world) == [("failed", 1)]
    assert acted(world) == 0


async def test_a_cancellation_that_is_newer_is_not_taken_back(
    world: BillingWorld, services: StripeServices, leaving: str
) -> None:
    world.break_(Kind.DROP, CHANGE, method="POST", remaining=None)
    await pass_by(world, 60)
    with pytest.raises(UnavailableError):
        await stay(services, leaving, 0.5)
    world.stripe.faults.clear()
    await pass_by(world, 60)
    await cancel(world, leaving, "flag")
    await let_leases_end(world)
    assert await services.operations.work() == 1
    assert await operations(world) == [("failed", 1)]
    assert is_leaving(world, leaving)
