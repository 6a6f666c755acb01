"""Many at once, and crashes after every step: one customer, one session, one reservation."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from billing_world import BillingWorld, buy, register, url_of

from mainstem.billing.accounts.storage import BillingAccount, find
from mainstem.billing.assembly import StripeServices
from mainstem.billing.stripe.client import KEY_SECONDS
from mainstem.common.database.pool import Connection, Transactions, open_pool
from mainstem.common.owner import Link
from mainstem.sandbox.stand_ins.faults import Fault, Kind

CROWD = 50
SEED = 7
OWNER = Link("github_user_id", "12345")


class CrashError(BaseException):
    """The process is gone: nothing in it runs any more."""


class Mortal:
    """Transactions of a process that dies around one of them, and does nothing after that.

    Args:
        database: whose transactions.
        number: at which one it dies, counted from 1.
        committed: whether that one is committed before.
    """

    def __init__(self, database: Transactions, number: int, *, committed: bool) -> None:
        self._database = database
        self._number = number
        self._committed = committed
        self._count = 0

    @property
    def is_dead(self) -> bool:
        return self._count >= self._number

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        if self.is_dead:
            raise CrashError
        self._count += 1
        async with self._database.transaction() as connection:
            yield connection
            if self.is_dead and not self._committed:
                raise CrashError
        if self.is_dead:
            raise CrashError


async def account_of(world: BillingWorld) -> BillingAccount:
    async with world.ingest.owner.transaction() as connection:
        found = await find(connection, OWNER)
    assert found is not None
    return found


async def open_checkout(world: BillingWorld, services: StripeServices) -> str:
    price = await services.prices.get(None)
    return await services.checkout.open(await account_of(world), price)


async def expire_leases(world: BillingWorld) -> None:
    """Let the time pass that a dead process's leases last."""
    async with world.ingest.owner.transaction() as connection:
        await connection.execute(
            "UPDATE billing.reservation SET lease_expires_at = '-infinity' WHERE lease_token IS NOT NULL"
        )


async def until_asked(world: BillingWorld) -> None:
    """Return once what a session is to be made of is written down."""
    async with asyncio.timeout(5):
        while not await world.rows("SELECT 1 FROM billing.reservation WHERE request IS NOT NULL"):  # noqa: ASYNC110 -- what happens elsewhere sets no event of ours
            await asyncio.sleep(0.02)


def posts(world: BillingWorld) -> int:
    """Return how often Stripe was asked to make a session."""
    paths = [(one["method"], one["path"]) for one in world.stripe.stand_in.received()]
    return sum(method == "POST" and path.endswith("/checkout/sessions") for method, path in paths)


def assert_one_of_each(world: BillingWorld) -> None:
    assert len(world.held("customer")) == 1
    assert len(world.held("checkout.session")) == 1


async def test_fifty_at_once_come_to_one_customer_one_session_and_one_reservation(
    world: BillingWorld,
) -> None:
    await world.price()
    clients = [await world.serve(wait_seconds=14.0, instance=f"billing-{number}") for number in range(2)]
    await register(clients[0])
    dice = random.Random(SEED)
    for path in ("/v1/customers", "/v1/checkout/sessions$", "/v1/checkout/sessions/", "/v1/subscriptions"):
        for kind in (Kind.LOSE_ANSWER, Kind.DROP, Kind.DELAY):
            delay = dice.uniform(0.01, 0.2)
            world.stripe.faults.add(Fault("stripe", kind, path=path, delay_seconds=delay, remaining=1))

    async def click(number: int) -> httpx.Response:
        await asyncio.sleep(dice.uniform(0.0, 0.3))
        return await buy(clients[number % 2])

    answers = await asyncio.gather(*(click(number) for number in range(CROWD)))
    assert [answer.status_code for answer in answers] == [200] * CROWD
    assert len({answer.json()["checkout_session_url"] for answer in answers}) == 1
    assert_one_of_each(world)
    assert len(await world.reservations()) == 1


@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after it"])
@pytest.mark.parametrize("number", range(1, 8))
async def test_a_process_that_dies_at_any_step_leaves_what_the_next_one_goes_on_with(
    world: BillingWorld, client: httpx.AsyncClient, number: int, committed: bool
) -> None:
    await register(client)
    async with open_pool(world.database.urls["billing"], name="mortal") as pool:
        mortal = Mortal(pool, number, committed=committed)
        services = await world.open_services(mortal)
        with pytest.raises(CrashError):
            await open_checkout(world, services)
    await expire_leases(world)
    url = await url_of(client)
    assert await url_of(client) == url
    assert_one_of_each(world)
    assert [row["status"] for row in await world.reservations()] == ["open"]


async def test_a_checkout_has_no_more_steps_than_were_tried(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    async with open_pool(world.database.urls["billing"], name="mortal") as pool:
        services = await world.open_services(Mortal(pool, 8, committed=False))
        assert await open_checkout(world, services)


@pytest.mark.parametrize("path", ["/v1/customers$", "/v1/checkout/sessions$"])
async def test_an_answer_that_never_came_is_asked_for_under_the_same_key(
    world: BillingWorld, client: httpx.AsyncClient, path: str
) -> None:
    await register(client)
    world.break_(Kind.LOSE_ANSWER, path, method="POST", remaining=2)
    await url_of(client)
    assert_one_of_each(world)


async def test_a_refusal_after_a_lost_answer_does_not_make_another_customer(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    world.break_(Kind.LOSE_ANSWER, "/v1/customers$", method="POST")
    world.break_(Kind.STATUS, "/v1/customers$", method="POST", status=403)
    await buy(client)
    await url_of(client)
    assert_one_of_each(world)


async def test_a_customer_whose_key_is_forgotten_is_found_again(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    world.break_(Kind.LOSE_ANSWER, "/v1/customers$", method="POST", remaining=None)
    hasty = await world.serve(wait_seconds=0.5)
    assert (await buy(hasty)).status_code == 503
    world.stripe.faults.clear()
    assert len(world.held("customer")) == 1
    await world.stripe.move_to(world.stripe.now + 2 * 86_400)
    assert (
        await client.put("/billing/accounts/github_user_id/12345", json={"email": "b@example.com"})
    ).is_success
    await url_of(client)
    assert_one_of_each(world)


async def test_a_click_after_the_key_was_forgotten_looks_for_the_session_first(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    world.break_(Kind.LOSE_ANSWER, "/v1/checkout/sessions$", method="POST", remaining=None)
    hasty = await world.serve(wait_seconds=0.5)
    assert (await buy(hasty)).status_code == 503
    world.stripe.faults.clear()
    await expire_leases(world)
    (lost,) = world.held("checkout.session")
    asked = posts(world)
    await world.stripe.move_to(world.stripe.now + KEY_SECONDS + 60)
    assert await url_of(client) == lost["url"]
    assert posts(world) == asked
    assert_one_of_each(world)


async def test_a_caller_who_goes_away_leaves_the_place_to_the_next_one(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    services = await world.open_services()
    world.break_(Kind.DELAY, "/v1/checkout/sessions$", method="POST", delay_seconds=5.0)
    going = asyncio.create_task(open_checkout(world, services))
    await until_asked(world)
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    await url_of(client)
    assert_one_of_each(world)


async def test_a_holder_that_was_too_slow_changes_nothing(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    services = await world.open_services()
    world.break_(Kind.DELAY, "/v1/checkout/sessions$", method="POST", delay_seconds=1.0)
    slow = asyncio.create_task(open_checkout(world, services))
    await until_asked(world)
    await expire_leases(world)
    assert await url_of(client) == await slow
    assert_one_of_each(world)
    assert [row["status"] for row in await world.reservations()] == ["open"]
