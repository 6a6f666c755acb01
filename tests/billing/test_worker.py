"""The worker process: healthy, and finishing what was begun."""

import asyncio
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from billing_world import BillingWorld
from serving import serving

from mainstem.billing.operations.runner import STOP_CANCELLATION
from mainstem.billing.worker import build
from mainstem.common.errors import UnavailableError
from mainstem.sandbox.stand_ins.faults import Kind


async def test_it_finishes_what_nobody_waits_for_any_more(world: BillingWorld) -> None:
    subscription = await world.shop.subscription()
    await world.shop.sdk.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    services = await world.open_services()
    kept = {"Idempotent-Replayed": "true"}
    world.break_(Kind.STATUS, "/v1/subscriptions/", method="POST", status=500, headers=kept)
    with pytest.raises(UnavailableError):
        await services.operations.perform(UUID(int=1), STOP_CANCELLATION, subscription.id, 5.0)
    world.stripe.clock.advance(timedelta(seconds=5))
    async with serving(build(world.settings_with())) as base, httpx.AsyncClient(base_url=base) as client:
        async with asyncio.timeout(10):
            while await world.rows("SELECT 1 FROM billing.operation WHERE status = 'wanted'"):  # noqa: ASYNC110 -- what happens elsewhere sets no event of ours
                await asyncio.sleep(0.05)
        health = await client.get("/__heartbeat__")
    assert health.status_code == 200
    assert {"drain_operations", "drain_reservations", "database"} <= health.json().keys()
    assert await world.hints() == [("subscription", "received")]


async def test_without_a_key_it_has_nothing_to_do_and_is_healthy(world: BillingWorld) -> None:
    app = build(world.settings_with(stripe_api_key=None))
    async with serving(app) as base, httpx.AsyncClient(base_url=base) as client:
        health = await client.get("/__heartbeat__")
    assert (health.status_code, [name for name in health.json() if name.startswith("drain")]) == (200, [])
