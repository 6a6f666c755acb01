import asyncio
import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe
from acoustic_calls import ACCOUNT
from almanac import Almanac
from pydantic import SecretStr
from servers import Database
from serving import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mainstem.common.settings import SettingsError
from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.stand_ins.faults import Faults
from mainstem.sandbox.stand_ins.protocol import StandIn
from mainstem.sandbox.world.app import World, WorldSettings, build_world, require_loopback
from mainstem.sandbox.world.clock import MovableClock
from mainstem.sandbox.world.pause import Pause
from mainstem.sandbox.world.settled import Pipeline

# The SDK still hands httpx its bytes as `data`.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "sandbox.md"


@dataclass(frozen=True)
class Example:
    """One `curl` of the reference."""

    method: str
    path: str
    body: str | None


def _example(line: str) -> Example:
    words = shlex.split(line.replace("$SANDBOX", ""))[1:]
    options = dict(pairwise(words))
    path = next(word for word in words if word.startswith("/"))
    return Example(options.get("-X", "GET"), path, options.get("-d"))


def _examples() -> list[Example]:
    return [_example(line) for line in REFERENCE.read_text().splitlines() if line.startswith("curl ")]


@pytest.fixture
def clock(tmp_path: Path) -> MovableClock:
    return MovableClock.create(tmp_path / "clock")


@pytest.fixture
async def http(clock: MovableClock, database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    stand_ins: list[StandIn] = [Almanac(clock, "stripe"), AcousticStandIn(clock, ACCOUNT)]
    pipeline, pause = Pipeline(database.urls["sandbox"]), Pause(tmp_path / "pause")
    world = World(clock, stand_ins, Faults(), pipeline=pipeline, pause=pause)
    async with serving(world.app()) as base, httpx.AsyncClient(base_url=base) as http:
        yield http


async def test_the_reference_describes_every_call_and_no_other(http: httpx.AsyncClient) -> None:
    described = set(re.findall(r"^### `(.+)`$", REFERENCE.read_text(), re.MULTILINE))
    assert described == set((await http.get("/_sandbox/")).json()["calls"])


async def test_every_example_of_the_reference_works(http: httpx.AsyncClient) -> None:
    answers = {
        example: await http.request(example.method, example.path, content=example.body)
        for example in _examples()
    }
    assert len(answers) >= 13
    assert {example: answer.text for example, answer in answers.items() if not answer.is_success} == {}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", "localhost", ""])
def test_another_address_than_loopback_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match="loopback only"):
        require_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1"])
def test_loopback_is_accepted(host: str) -> None:
    require_loopback(host)


async def test_stand_ins_stop_with_the_world(clock: MovableClock) -> None:
    almanac = Almanac(clock)
    async with serving(World(clock, [almanac], Faults()).app()):
        assert almanac.is_started
    assert not almanac.is_started


SECRET = "whsec_test"


class Receiver:
    """Takes Stripe's webhooks, and keeps what was signed for it."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.app = Starlette(routes=[Route("/webhooks/stripe", self._receive, methods=["POST"])])

    async def _receive(self, request: Request) -> Response:
        body = await request.body()
        signature = request.headers["stripe-signature"]
        self.events.append(stripe.Webhook.construct_event(body, signature, SECRET, tolerance=300))
        return Response(status_code=202)

    def types(self) -> list[str]:
        return [event.type for event in self.events]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def settings(tmp_path: Path, receiver: Receiver) -> AsyncIterator[WorldSettings]:
    async with serving(receiver.app) as base:
        yield WorldSettings(
            clock_file=tmp_path / "clock",
            stripe_api_key=SecretStr("sk_test_world"),
            client_id="client",
            client_secret=SecretStr("secret"),
            refresh_token=SecretStr("refresh"),
            main_table_id="1",
            newsletter_table_id="9",
            product_table_id="10",
            webhook_url=f"{base}/webhooks/stripe",
            webhook_secret=SecretStr(SECRET),
        )


@pytest.fixture
async def world(settings: WorldSettings) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(build_world(settings).app()) as base,
        httpx.AsyncClient(base_url=base, timeout=30) as http,
    ):
        yield http


@pytest.fixture
async def seller(world: httpx.AsyncClient) -> AsyncIterator[stripe.StripeClient]:
    client = stripe.HTTPXClient()
    yield stripe.StripeClient(
        "sk_test_world",
        base_addresses={"api": f"{world.base_url}/stripe"},
        http_client=client,
        max_network_retries=0,
    )
    await client.close_async()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped


async def _subscribe(seller: stripe.StripeClient) -> str:
    product = await seller.v1.products.create_async({"name": "One"})
    price = await seller.v1.prices.create_async(
        {"product": product.id, "currency": "usd", "unit_amount": 999, "recurring": {"interval": "month"}}
    )
    customer = await seller.v1.customers.create_async({"description": "somebody"})
    method = await seller.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    subscription = await seller.v1.subscriptions.create_async(
        {"customer": customer.id, "items": [{"price": price.id}], "default_payment_method": method.id}
    )
    return subscription.id


async def _drained(world: httpx.AsyncClient) -> None:
    for _ in range(500):
        events = (await world.get("/_sandbox/stripe")).json()["event"]
        if not any(event["pending_webhooks"] for event in events):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("webhooks are still on their way")


async def test_the_sdk_subscribes_and_signed_webhooks_arrive(
    world: httpx.AsyncClient, seller: stripe.StripeClient, receiver: Receiver
) -> None:
    await _subscribe(seller)
    await _drained(world)
    assert {"customer.created", "customer.subscription.created", "invoice.paid"} <= set(receiver.types())


async def test_a_month_later_the_subscription_has_renewed_and_its_webhooks_were_answered(
    world: httpx.AsyncClient, seller: stripe.StripeClient, receiver: Receiver
) -> None:
    await _subscribe(seller)
    await _drained(world)
    receiver.events.clear()
    moved = await world.post("/_sandbox/clock", json={"advance_seconds": 32 * 86_400})
    (step,) = moved.json()["steps"]
    renewed = [event for event in receiver.events if event.type == "customer.subscription.updated"]
    assert [event.created for event in renewed] == [int(datetime.fromisoformat(step).timestamp())]
    assert "invoice.paid" in receiver.types()


async def test_held_webhooks_arrive_twice_and_last_first(
    world: httpx.AsyncClient, seller: stripe.StripeClient, receiver: Receiver
) -> None:
    await world.post("/_sandbox/stripe/hold")
    for name in ("One", "Two"):
        await seller.v1.products.create_async({"name": name})
    assert receiver.events == []
    released = await world.post("/_sandbox/stripe/release", json={"order": "reversed", "times": 2})
    assert released.json() == {"released": 2}
    assert [event.data.object.name for event in receiver.events] == ["Two", "Two", "One", "One"]


async def test_a_scripted_429_is_a_rate_limit_to_the_sdk(
    world: httpx.AsyncClient, seller: stripe.StripeClient
) -> None:
    rule = {"target": "stripe", "kind": "status", "status": 429, "path": "^/v1/products"}
    await world.post("/_sandbox/faults", json=rule)
    with pytest.raises(stripe.RateLimitError):
        await seller.v1.products.create_async({"name": "One"})
    assert (await seller.v1.products.create_async({"name": "One"})).name == "One"


async def test_a_lost_answer_of_stripe_leaves_the_object(
    world: httpx.AsyncClient, seller: stripe.StripeClient
) -> None:
    await world.post("/_sandbox/faults", json={"target": "stripe", "kind": "lose_answer"})
    with pytest.raises(stripe.APIConnectionError):
        await seller.v1.products.create_async({"name": "One"})
    assert [product.name for product in (await seller.v1.products.list_async()).data] == ["One"]


async def test_a_scripted_duplicate_arrives_twice(
    world: httpx.AsyncClient, seller: stripe.StripeClient, receiver: Receiver
) -> None:
    await world.post("/_sandbox/faults", json={"target": "stripe.webhook", "kind": "duplicate"})
    await seller.v1.products.create_async({"name": "One"})
    await _drained(world)
    assert receiver.types() == ["product.created"] * 2


async def test_after_a_reset_webhooks_still_arrive(
    world: httpx.AsyncClient, seller: stripe.StripeClient, receiver: Receiver
) -> None:
    assert (await world.post("/_sandbox/stripe/reset")).status_code == 204
    await seller.v1.products.create_async({"name": "One"})
    await _drained(world)
    assert receiver.types() == ["product.created"]


def test_a_webhook_url_without_its_secret_is_a_contradiction(settings: WorldSettings) -> None:
    assert settings.contradictions() == []
    assert settings.model_copy(update={"webhook_secret": None}).contradictions() != []
