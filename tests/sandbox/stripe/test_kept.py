"""A killed stand-in's files are opened by the next one, and its account goes on as if nothing had been."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest
import stripe
from clicking import Browser
from stripe_shop import API_KEY, SECRET, Receiver, Shop, World, opened

from mainstem.sandbox.stripe.delivery.webhooks import Patience

SLOW = Patience(attempts=3, first_seconds=3600, longest_seconds=3600, timeout_seconds=3600)
"""What has failed once is not sent again while the test lasts."""
HASTY = Patience(attempts=2, first_seconds=0.01, longest_seconds=0.01, timeout_seconds=1)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path / "clock", folder=tmp_path / "world", patience=SLOW) as world:
        yield world


def after_a_kill(tmp_path: Path, *, patience: Patience = SLOW) -> AbstractAsyncContextManager[World]:
    """Open what a kill now would leave: the files as they are, while the first world lives on."""
    shutil.copytree(tmp_path / "world", tmp_path / "left", dirs_exist_ok=True)
    return opened(tmp_path / "clock", folder=tmp_path / "left", patience=patience)


def listen(world: World, receiver: Receiver) -> str:
    return world.stand_in.add_endpoint(receiver.url, secret=SECRET)


async def post(world: World, path: str, key: str, data: dict[str, str]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": key}
    async with httpx.AsyncClient() as client:
        return await client.post(f"{world.url}/stripe/v1/{path}", data=data, headers=headers)


async def test_objects_events_endpoints_and_what_is_due_are_found_again(
    world: World, shop: Shop, sdk: stripe.StripeClient, receiver: Receiver, tmp_path: Path
) -> None:
    listen(world, receiver)
    await shop.subscription(trial_period_days=5)
    subscription = await shop.subscription()
    await sdk.v1.subscriptions.update_async(subscription.id, {"metadata": {"seen": "1"}})
    await sdk.v1.customers.delete_async((await shop.customer()).id)
    await world.stand_in.drain()
    async with after_a_kill(tmp_path) as later:
        assert later.stand_in.holds() == world.stand_in.holds()
        assert later.stand_in.next_due() == world.stand_in.next_due()
        assert await Shop(later, later.client()).types() == await shop.types()
        secrets = [held["_secret"] for held in later.stand_in.account.store.shelf("webhook_endpoint")]
        assert secrets == [SECRET]


async def test_time_goes_on_where_it_was(world: World, shop: Shop, tmp_path: Path) -> None:
    await shop.subscription()
    async with after_a_kill(tmp_path) as later:
        await later.move_to(later.now + 32 * 86_400)
        types = await Shop(later, later.client()).types()
    assert types.count("invoice.paid") == 2


async def test_a_checkout_session_is_still_open_and_still_expires(
    world: World, shop: Shop, tmp_path: Path
) -> None:
    bought, left = await shop.checkout(), await shop.checkout()
    async with after_a_kill(tmp_path) as later, Browser() as browser:
        await browser.open(f"{later.url}/stripe/_pages/checkout/{bought.id}")
        await browser.click("pay", email="ada@example.com")
        await later.move_to(left.expires_at)
        sessions = later.client().v1.checkout.sessions
        statuses = [(await sessions.retrieve_async(one.id)).status for one in (bought, left)]
    assert statuses == ["complete", "expired"]


async def test_a_webhook_that_waits_for_its_retry_is_sent_again(
    world: World, shop: Shop, receiver: Receiver, tmp_path: Path
) -> None:
    listen(world, receiver)
    receiver.statuses = [500]
    await shop.customer(card=None)
    await world.stand_in.drain()
    async with after_a_kill(tmp_path) as later:
        await later.stand_in.drain()
        assert later.stand_in.pending() == 0
    assert receiver.types == ["customer.created"] * 2
    assert len(set(receiver.ids)) == 1


async def test_a_webhook_under_way_is_sent_again(
    world: World, shop: Shop, receiver: Receiver, tmp_path: Path
) -> None:
    listen(world, receiver)
    receiver.open.clear()
    await shop.customer(card=None)
    async with after_a_kill(tmp_path) as later:
        receiver.open.set()
        await later.stand_in.drain()
        await world.stand_in.drain()
    assert receiver.types == ["customer.created"] * 2


async def test_a_confirmed_webhook_is_not_sent_again(
    world: World, shop: Shop, receiver: Receiver, tmp_path: Path
) -> None:
    listen(world, receiver)
    await shop.customer(card=None)
    await world.stand_in.drain()
    async with after_a_kill(tmp_path) as later:
        assert later.stand_in.pending() == 0
        await later.stand_in.drain()
    assert receiver.types == ["customer.created"]


async def test_an_endpoints_failures_count_on(
    world: World, shop: Shop, receiver: Receiver, tmp_path: Path
) -> None:
    endpoint = listen(world, receiver)
    receiver.statuses = [500] * 9
    await shop.customer(card=None)
    await world.stand_in.drain()
    async with after_a_kill(tmp_path, patience=HASTY) as later:
        await later.stand_in.drain()
        (event,) = later.stand_in.account.events
        assert (later.stand_in.pending(), event.waiting) == (0, {endpoint})
        shutil.copytree(tmp_path / "left", tmp_path / "world 3")
    # The second attempt was the last one; what was given up stays so, and still counts as unconfirmed.
    async with opened(tmp_path / "clock", folder=tmp_path / "world 3", patience=HASTY) as last:
        (event,) = last.stand_in.account.events
        assert (last.stand_in.pending(), event.waiting) == (0, {endpoint})
    assert len(receiver.came) == 2


async def test_held_webhooks_stay_held_until_their_release(
    world: World, shop: Shop, receiver: Receiver, tmp_path: Path
) -> None:
    listen(world, receiver)
    world.stand_in.hold()
    customer = await shop.customer(card=None)
    await shop.sdk.v1.customers.update_async(customer.id, {"name": "Ada"})
    async with after_a_kill(tmp_path) as later:
        await Shop(later, later.client()).customer(card=None)
        assert (later.stand_in.held(), receiver.came) == (3, [])
        assert await later.stand_in.release(order="reversed") == 3
        shutil.copytree(tmp_path / "left", tmp_path / "world 3")
    assert receiver.types == ["customer.created", "customer.updated", "customer.created"]
    async with opened(tmp_path / "clock", folder=tmp_path / "world 3") as last:
        assert (last.stand_in.held(), last.stand_in.pending()) == (0, 0)
        await Shop(last, last.client()).customer(card=None)
        await last.stand_in.drain()
    assert len(receiver.came) == 4


async def test_a_key_acts_once_across_a_kill(world: World, tmp_path: Path) -> None:
    first = await post(world, "customers", "key-1", {"name": "Ada"})
    async with after_a_kill(tmp_path) as later:
        again = await post(later, "customers", "key-1", {"name": "Ada"})
        other = await post(later, "customers", "key-1", {"name": "Bob"})
        assert len(later.stand_in.account.store.shelf("customer")) == 1
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert other.status_code == 400


async def test_a_reset_is_kept_as_well(world: World, shop: Shop, receiver: Receiver, tmp_path: Path) -> None:
    listen(world, receiver)
    world.stand_in.hold()
    await shop.subscription()
    await post(world, "customers", "key-1", {"name": "Ada"})
    await world.stand_in.reset()
    async with after_a_kill(tmp_path) as later:
        assert later.stand_in.holds() == world.stand_in.holds()
        assert set(later.stand_in.holds()) == {"event", "webhook_endpoint"}
        assert (later.stand_in.held(), later.stand_in.next_due()) == (0, None)
        assert "idempotent-replayed" not in (await post(later, "customers", "key-1", {"name": "Ada"})).headers


async def test_an_endpoint_that_stands_is_the_same_one_at_its_new_address(
    world: World, receiver: Receiver, tmp_path: Path
) -> None:
    former = world.stand_in.add_endpoint("http://127.0.0.1:1/nobody", secret="whsec_former")
    async with after_a_kill(tmp_path) as later:
        assert listen(later, receiver) == former
        await Shop(later, later.client()).customer(card=None)
        await later.stand_in.drain()
        (endpoint,) = later.stand_in.holds()["webhook_endpoint"]
    assert endpoint["url"] == receiver.url
    assert receiver.types == ["customer.created"]


async def test_nothing_is_left_of_a_deleted_endpoint(
    world: World, shop: Shop, sdk: stripe.StripeClient, receiver: Receiver, tmp_path: Path
) -> None:
    endpoint = listen(world, receiver)
    world.stand_in.hold()
    await shop.customer(card=None)
    await sdk.v1.webhook_endpoints.delete_async(endpoint)
    await world.stand_in.release()
    async with after_a_kill(tmp_path) as later:
        (event,) = later.stand_in.account.events
        assert (later.stand_in.pending(), list(event.waiting)) == (0, [])
