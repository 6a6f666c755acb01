"""Idempotency keys: a request that comes again acts once."""

import asyncio
from typing import Any

import httpx
import pytest
import stripe
from stripe_shop import API_KEY, Shop, World

from mainstem.sandbox.stand_ins.faults import Fault, Kind


async def post(world: World, path: str, key: str | None, data: dict[str, str]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {API_KEY}"} | ({} if key is None else {"Idempotency-Key": key})
    async with httpx.AsyncClient() as client:
        return await client.post(f"{world.url}/stripe/v1/{path}", data=data, headers=headers)


async def test_the_first_answer_is_given_again(world: World, shop: Shop) -> None:
    first = await post(world, "customers", "key-1", {"name": "Ada"})
    again = await post(world, "customers", "key-1", {"name": "Ada"})
    assert again.content == first.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["original-request"] == first.headers["request-id"]
    assert again.headers["request-id"] != first.headers["request-id"]
    events = await shop.events()
    assert [event.type for event in events] == ["customer.created"]
    assert events[0].request is not None
    assert events[0].request.idempotency_key == "key-1"


async def test_other_parameters_or_another_endpoint_are_a_mismatch(world: World) -> None:
    await post(world, "customers", "key-1", {"name": "Ada"})
    for path, data in (("customers", {"name": "Bob"}), ("products", {"name": "Ada"})):
        refused = await post(world, path, "key-1", data)
        assert refused.status_code == 400
        assert refused.json()["error"]["type"] == "idempotency_error"


async def test_the_sdk_raises_stripes_own_error_for_a_mismatch(sdk: stripe.StripeClient) -> None:
    options: Any = {"idempotency_key": "key-1"}
    await sdk.v1.customers.create_async({"name": "Ada"}, options)
    with pytest.raises(stripe.IdempotencyError):
        await sdk.v1.customers.create_async({"name": "Bob"}, options)


async def test_a_decline_is_given_again_and_a_refusal_is_not(world: World, shop: Shop) -> None:
    subscription = await shop.subscription("pm_card_chargeCustomerFail")
    pay = f"invoices/{subscription.latest_invoice}/pay"
    declined = [await post(world, pay, "key-1", {}) for _ in range(2)]
    assert [answer.status_code for answer in declined] == [402, 402]
    assert declined[1].headers["idempotent-replayed"] == "true"
    invoice = await shop.sdk.v1.invoices.retrieve_async(str(subscription.latest_invoice))
    assert invoice.attempt_count == 2

    refused = await post(world, "customers", "key-2", {"colour": "red"})
    assert refused.status_code == 400
    # It changed nothing, so the key is free for the request that was meant.
    assert (await post(world, "customers", "key-2", {"name": "Ada"})).status_code == 200


async def test_an_answer_lost_on_the_way_is_found_by_the_sdks_own_retry(world: World, shop: Shop) -> None:
    world.faults.add(Fault(target="stripe", kind=Kind.LOSE_ANSWER, method="POST", path="/v1/customers"))
    client = stripe.StripeClient(
        API_KEY,
        base_addresses={"api": f"{world.url}/stripe"},
        http_client=world.http_client(),
        max_network_retries=2,
    )
    made = await client.v1.customers.create_async({"name": "Ada"})
    assert world.faults.applied() == {"stripe": 1}
    assert [customer.id for customer in (await client.v1.customers.list_async()).data] == [made.id]
    assert await shop.types() == ["customer.created"]


async def test_a_key_in_use_is_a_conflict(world: World) -> None:
    host, port = world.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /stripe/v1/customers HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {API_KEY}\r\n"
        "Idempotency-Key: slow\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        "Content-Length: 8\r\nConnection: close\r\n\r\nname"
    )
    writer.write(head.encode())
    await writer.drain()
    # The body's rest is still to come, so the request is under way until then.
    answer = await post(world, "customers", "slow", {"name": "Ada"})
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "idempotency_key_in_use"
    writer.write(b"=Ada")
    await writer.drain()
    assert b"200 OK" in await reader.read()
    writer.close()
    await writer.wait_closed()
    assert (await post(world, "customers", "slow", {"name": "Ada"})).headers["idempotent-replayed"] == "true"


async def test_a_key_whose_request_broke_off_is_free_again(world: World) -> None:
    host, port = world.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /stripe/v1/customers HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {API_KEY}\r\n"
        "Idempotency-Key: broken\r\nContent-Length: 8\r\n\r\nname".encode()
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(5):
        # The server may not have noticed yet.
        while (answer := await post(world, "customers", "broken", {"name": "Ada"})).status_code == 409:
            pass
    assert answer.status_code == 200


async def test_a_key_is_forgotten_after_a_day_of_the_world(world: World, sdk: stripe.StripeClient) -> None:
    await post(world, "customers", "key-1", {"name": "Ada"})
    await world.move_to(world.now + 86_401)
    assert "idempotent-replayed" not in (await post(world, "customers", "key-1", {"name": "Bob"})).headers
    assert len((await sdk.v1.customers.list_async()).data) == 2


async def test_a_key_that_is_too_long_is_refused(world: World) -> None:
    assert (await post(world, "customers", "k" * 256, {})).status_code == 400
    assert (await post(world, "customers", "k" * 255, {})).status_code == 200
