"""Webhooks: signed, rendered for their endpoint, sent again when they failed, and scripted to go wrong."""

import asyncio
import json
import time

import pytest
import stripe
from stripe_shop import SECRET, Receiver, Shop, World

from mainstem.sandbox.stand_ins.faults import Fault, Kind
from mainstem.sandbox.stripe.delivery.webhooks import Patience


def _listen(world: World, receiver: Receiver, version: str | None = None) -> str:
    return world.stand_in.add_endpoint(receiver.url, secret=SECRET, api_version=version)


async def _settle(world: World) -> None:
    while world.stand_in.pending():  # noqa: ASYNC110 -- a retry that comes to its end tells nobody
        await asyncio.sleep(0.005)


async def test_the_sdk_accepts_every_delivery_and_each_event_comes_once(
    shop: Shop, world: World, receiver: Receiver
) -> None:
    _listen(world, receiver)
    await shop.subscription()
    await world.stand_in.drain()
    assert world.stand_in.pending() == 0
    assert sorted(receiver.ids) == sorted(event.id for event in await shop.events())
    assert {event.pending_webhooks for event in await shop.events()} == {0}


async def test_a_delivery_looks_like_stripes(shop: Shop, world: World, receiver: Receiver) -> None:
    _listen(world, receiver)
    await shop.customer(card=None)
    await world.stand_in.drain()
    _, body, headers = receiver.came[0]
    assert body.startswith(b'{\n  "id": "evt_')
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert "traceparent" not in headers
    assert json.loads(body)["pending_webhooks"] == 1


async def test_signatures_bear_machine_time_however_far_the_world_is(
    shop: Shop, world: World, receiver: Receiver
) -> None:
    _listen(world, receiver)
    await world.move_to(world.now + 40 * 86_400)
    customer = await shop.customer(card=None)
    await world.stand_in.drain()
    event, _, headers = receiver.came[0]
    at = int(headers["stripe-signature"].split(",")[0].removeprefix("t="))
    assert abs(at - time.time()) < 5
    assert event.created == customer.created
    assert event.created - at > 39 * 86_400


async def test_each_endpoint_gets_the_shapes_of_its_own_version(
    shop: Shop, world: World, receiver: Receiver
) -> None:
    _listen(world, receiver, "2024-06-20")
    _listen(world, receiver)
    await shop.subscription()
    await world.stand_in.drain()
    found = {
        event.api_version: event.data.object
        for event, _, _ in receiver.came
        if event.type == "customer.subscription.created"
    }
    assert found.keys() == {"2024-06-20", "2026-10-28.endive"}
    old, new = found["2024-06-20"], found["2026-10-28.endive"]
    assert "current_period_end" in old
    assert "current_period_end" not in new
    assert "current_period_end" not in old["items"].data[0]
    assert new["items"].data[0].current_period_end == old["current_period_end"]


async def test_an_endpoint_gets_only_the_types_it_wants(
    shop: Shop, sdk: stripe.StripeClient, world: World, receiver: Receiver
) -> None:
    world.stand_in.add_endpoint(receiver.url, secret=SECRET, enabled_events=["invoice.paid"])
    await shop.subscription()
    await world.stand_in.drain()
    assert receiver.types == ["invoice.paid"]


@pytest.mark.parametrize("status", [500, 404, 302])
async def test_anything_but_a_2xx_is_sent_again(
    shop: Shop, world: World, receiver: Receiver, status: int
) -> None:
    _listen(world, receiver)
    receiver.statuses = [status, status]
    await shop.customer(card=None)
    await world.stand_in.drain()
    assert world.stand_in.pending() == 1
    event = (await shop.events())[0]
    assert event.pending_webhooks == 1
    assert [e.id for e in await shop.events(delivery_success=False)] == [event.id]
    await _settle(world)
    assert receiver.ids == [event.id] * 3
    assert await shop.events(delivery_success=False) == []
    assert [e.id for e in await shop.events(delivery_success=True)] == [event.id]


async def test_a_receiver_that_is_away_gets_the_event_when_it_is_back(
    shop: Shop, world: World, receiver: Receiver
) -> None:
    _listen(world, receiver)
    world.faults.add(Fault(target="stripe.webhook", kind=Kind.DROP, remaining=2))
    await shop.customer(card=None)
    await _settle(world)
    assert receiver.types == ["customer.created"]


async def test_after_its_last_attempt_an_event_stays_undelivered(
    shop: Shop, world: World, receiver: Receiver
) -> None:
    _listen(world, receiver)
    receiver.statuses = [500] * 10
    await shop.customer(card=None)
    await _settle(world)
    assert len(receiver.came) == 4
    assert len(await shop.events(delivery_success=False)) == 1


async def test_a_receiver_that_takes_too_long_has_failed(
    shop: Shop, world: World, receiver: Receiver
) -> None:
    _listen(world, receiver)
    receiver.open.clear()
    await shop.customer(card=None)
    await world.stand_in.drain()
    assert (receiver.came, world.stand_in.pending()) == ([], 1)
    receiver.open.set()
    await _settle(world)
    assert receiver.types[-1] == "customer.created"
    assert await shop.events(delivery_success=False) == []


async def test_the_machines_proxy_is_never_asked(
    shop: Shop, world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.stand_in.stop()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    await world.stand_in.start()
    monkeypatch.undo()
    _listen(world, receiver)
    await shop.customer(card=None)
    await world.stand_in.drain()
    assert receiver.types == ["customer.created"]


def test_retries_double_up_to_a_cap_and_end() -> None:
    waits = [Patience().wait(failed) for failed in range(1, 21)]
    assert waits[:7] == [1, 2, 4, 8, 16, 30, 30]
    assert waits[-2:] == [30, None]


async def test_a_duplicate_comes_twice(shop: Shop, world: World, receiver: Receiver) -> None:
    _listen(world, receiver)
    world.faults.add(Fault(target="stripe.webhook", kind=Kind.DUPLICATE))
    await shop.customer(card=None)
    await world.stand_in.drain()
    assert receiver.ids == [(await shop.events())[0].id] * 2


async def test_a_delayed_one_is_overtaken(shop: Shop, world: World, receiver: Receiver) -> None:
    _listen(world, receiver)
    world.faults.add(Fault(target="stripe.webhook", kind=Kind.DELAY, delay_seconds=0.2))
    customer = await shop.customer(card=None)
    await shop.sdk.v1.customers.update_async(customer.id, {"name": "Ada"})
    await world.stand_in.drain()
    assert receiver.types == ["customer.updated", "customer.created"]


@pytest.mark.parametrize("order", ["recorded", "reversed"])
async def test_held_webhooks_come_in_the_order_asked_for(
    shop: Shop, world: World, receiver: Receiver, order: str
) -> None:
    _listen(world, receiver)
    world.stand_in.hold()
    await shop.subscription()
    await world.stand_in.drain()
    recorded = [event.id for event in await shop.events()]
    assert (receiver.came, world.stand_in.pending(), world.stand_in.held()) == ([], 0, len(recorded))
    released = await world.stand_in.release(order="reversed" if order == "reversed" else "recorded", times=2)
    expected = recorded if order == "recorded" else recorded[::-1]
    assert released == len(recorded)
    assert receiver.ids == [given for given in expected for _ in range(2)]
    await shop.customer(card=None)
    await world.stand_in.drain()
    assert receiver.types[-1] == "customer.created"


@pytest.mark.alone  # a slow machine makes deliveries time out and come again
async def test_several_are_under_way_at_once_and_never_more_than_eight(
    shop: Shop, world: World, receiver: Receiver
) -> None:
    _listen(world, receiver)
    receiver.open.clear()
    for _ in range(20):
        await shop.customer(card=None)
    await receiver.crowded.wait()
    receiver.open.set()
    await world.stand_in.drain()
    assert receiver.most_at_once == 8
    assert len(receiver.came) == 20


async def test_a_deleted_endpoint_gets_nothing_more(
    shop: Shop, sdk: stripe.StripeClient, world: World, receiver: Receiver
) -> None:
    endpoint = _listen(world, receiver)
    receiver.statuses = [500]
    await shop.customer(card=None)
    await world.stand_in.drain()
    await sdk.v1.webhook_endpoints.delete_async(endpoint)
    await _settle(world)
    assert len(receiver.came) == 1
    assert await shop.events(delivery_success=False) == []
