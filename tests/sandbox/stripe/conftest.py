"""A stand-in for Stripe over real HTTP, with the official SDK pointed at it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import stripe
from serving import serving
from starlette.applications import Starlette
from starlette.routing import Mount

from mainstem.sandbox.clock import MovableClock
from mainstem.sandbox.faults import FaultMiddleware, Faults
from mainstem.sandbox.stripe.stand_in import StripeStandIn
from mainstem.sandbox.stripe.webhooks import Backoff

API_KEY = "sk_test_sandbox"
QUICK = Backoff(attempts=4, first_seconds=0.02, longest_seconds=0.05)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the SDK hand httpx its form as it does: httpx deprecates that, and the SDK has not followed."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"))


@dataclass
class World:
    """The stand-in, its clock and its faults, and where it answers."""

    stripe: StripeStandIn
    clock: MovableClock
    faults: Faults
    url: str

    @property
    def now(self) -> int:
        return int(self.clock.now().timestamp())

    async def move_to(self, target: datetime) -> None:
        """Move the clock as the control API does: from one due instant to the next."""
        while (due := self.stripe.next_due()) is not None and due <= target:
            if due > self.clock.now():
                self.clock.move_to(due)
            await self.stripe.fall_due(due)
            await self.stripe.drain()
        self.clock.move_to(target)

    def client(self, version: str | None = None, key: str = API_KEY) -> stripe.StripeClient:
        """Return the official client; a version asks for that one instead of the SDK's own."""
        return stripe.StripeClient(
            key,
            base_addresses={"api": f"{self.url}/stripe"},
            http_client=stripe.HTTPXClient(timeout=10),
            max_network_retries=0,
            stripe_version=version,
        )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = MovableClock.create(tmp_path / "clock")
    faults = Faults()
    stand_in = StripeStandIn(clock, faults, api_key=API_KEY, backoff=QUICK)
    app = FaultMiddleware(Starlette(routes=[Mount("/stripe", routes=stand_in.routes)]), faults)
    async with serving(app) as url:
        await stand_in.start()
        yield World(stand_in, clock, faults, url)
        await stand_in.stop()


@pytest.fixture
async def sdk(world: World) -> AsyncIterator[stripe.StripeClient]:
    client = world.client()
    yield client
    await client._requestor._client.close_async()
