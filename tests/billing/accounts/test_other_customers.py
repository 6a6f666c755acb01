"""Customers of an owner beside the account's own: what they subscribe to is not sold again."""

import httpx
import pytest
from billing_world import BillingWorld, register


@pytest.mark.parametrize("end", ["running", "canceled", "deleted"])
async def test_owner_with_a_subscription_on_another_customer_is_not_sold_a_second_one(
    world: BillingWorld, client: httpx.AsyncClient, end: str
) -> None:
    """The other customer was made at Stripe directly; an account that comes later has one of its own."""
    subscription = await world.shop.subscription()
    sdk, other = world.shop.sdk.v1, str(subscription.customer)
    await sdk.customers.update_async(other, {"description": "fxa-1"})
    if end == "canceled":
        await sdk.subscriptions.cancel_async(subscription.id)
    if end == "deleted":
        await world.mirror()
        await sdk.customers.delete_async(other)
    await world.mirror()
    await register(client, "fxa_id", "fxa-1")
    owner = {"owner": {"kind": "fxa_id", "value": "fxa-1"}}
    answer = await client.post("/billing/subscriptions", json=owner)
    if end == "running":
        assert (answer.status_code, answer.json()["detail"]) == (
            409,
            "user already has an active subscription",
        )
        assert world.held("checkout.session") == []
    else:
        assert answer.status_code == 200
