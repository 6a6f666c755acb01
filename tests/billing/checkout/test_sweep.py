"""The sweep: what nobody came back for is settled."""

from datetime import timedelta

import httpx
import pytest
from billing_world import BillingWorld, buy, register, url_of
from clicking import Browser

from mainstem.billing.assembly import StripeServices
from mainstem.sandbox.stand_ins.faults import Kind

DAY = 86_400
SESSIONS = "/v1/checkout/sessions$"


@pytest.fixture
async def services(world: BillingWorld) -> StripeServices:
    return await world.open_services()


async def statuses(world: BillingWorld) -> list[str]:
    return [row["status"] for row in await world.reservations()]


async def let_leases_end(world: BillingWorld) -> None:
    async with world.ingest.owner.transaction() as connection:
        await connection.execute("UPDATE billing.reservation SET lease_expires_at = '-infinity'")


async def test_an_open_checkout_is_left_alone(
    world: BillingWorld, client: httpx.AsyncClient, services: StripeServices
) -> None:
    await register(client)
    await url_of(client)
    assert await services.sweep.work() == 0
    assert await statuses(world) == ["open"]


async def test_one_that_expired_is_freed(
    world: BillingWorld, client: httpx.AsyncClient, services: StripeServices
) -> None:
    await register(client)
    await url_of(client)
    await world.stripe.move_to(world.stripe.now + DAY + 120)
    assert await services.sweep.work() == 1
    assert await statuses(world) == ["expired"]
    assert await world.hints() == []


async def test_a_purchase_that_nobody_came_back_from_is_done_and_hinted_at(
    world: BillingWorld, client: httpx.AsyncClient, browser: Browser, services: StripeServices
) -> None:
    await register(client)
    await browser.open(await url_of(client))
    await browser.click("pay")
    await world.stripe.move_to(world.stripe.now + DAY + 120)
    assert await services.sweep.work() == 1
    assert await statuses(world) == ["done"]
    hinted = [kind for kind, _ in await world.hints()]
    assert hinted == ["customer", "subscription", "invoice"]


async def test_one_whose_answer_was_lost_gets_its_session(
    world: BillingWorld, client: httpx.AsyncClient, services: StripeServices
) -> None:
    await register(client)
    world.break_(Kind.LOSE_ANSWER, SESSIONS, method="POST", remaining=None)
    hasty = await world.serve(wait_seconds=0.5)
    assert (await buy(hasty)).status_code == 503
    world.stripe.faults.clear()
    await let_leases_end(world)
    world.stripe.clock.advance(timedelta(minutes=1))
    assert await services.sweep.work() == 1
    assert await statuses(world) == ["open"]
    assert len(world.held("checkout.session")) == 1


async def test_one_that_never_asked_is_freed(
    world: BillingWorld, client: httpx.AsyncClient, services: StripeServices
) -> None:
    await register(client)
    world.break_(Kind.DROP, "/v1/customers", remaining=None)
    hasty = await world.serve(wait_seconds=0.5)
    assert (await buy(hasty)).status_code == 503
    await let_leases_end(world)
    world.stripe.clock.advance(timedelta(minutes=1))
    assert await services.sweep.work() == 1
    assert await statuses(world) == ["expired"]


@pytest.mark.parametrize(("kind", "made"), [(Kind.LOSE_ANSWER, 1), (Kind.DROP, 0)])
async def test_one_whose_key_is_forgotten_is_looked_for_and_not_made_again(
    world: BillingWorld, client: httpx.AsyncClient, services: StripeServices, kind: Kind, made: int
) -> None:
    await register(client)
    world.break_(kind, SESSIONS, method="POST", remaining=None)
    hasty = await world.serve(wait_seconds=0.5)
    assert (await buy(hasty)).status_code == 503
    world.stripe.faults.clear()
    await let_leases_end(world)
    await world.stripe.move_to(world.stripe.now + 2 * DAY)
    for _ in range(3):
        await services.sweep.work()
        world.stripe.clock.advance(timedelta(minutes=1))
    assert await statuses(world) == ["expired"]
    assert len(world.held("checkout.session")) == made


async def test_while_stripe_is_away_nothing_is_settled(
    world: BillingWorld, client: httpx.AsyncClient, services: StripeServices
) -> None:
    await register(client)
    await url_of(client)
    await world.stripe.move_to(world.stripe.now + DAY + 120)
    kept = {"Idempotent-Replayed": "true"}
    world.break_(Kind.STATUS, "/v1/checkout/sessions/", status=500, headers=kept)
    assert await services.sweep.work() == 1
    assert await statuses(world) == ["open"]
