"""A stand-in for Stripe over real HTTP, with the official SDK pointed at it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import stripe
from serving import serving
from starlette.applications import Starlette
from starlette.routing import Route
from stripe_shop import Receiver, Shop, World, opened


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the SDK hand httpx its form as it does: httpx deprecates that, and the SDK has not followed."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path / "clock") as world:
        yield world


@pytest.fixture
def sdk(world: World) -> stripe.StripeClient:
    return world.client()


@pytest.fixture
def shop(world: World, sdk: stripe.StripeClient) -> Shop:
    return Shop(world, sdk)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    receiver.open.set()
    async with serving(Starlette(routes=[Route("/hook", receiver.receive, methods=["POST"])])) as url:
        receiver.url = f"{url}/hook"
        yield receiver
        receiver.open.set()
