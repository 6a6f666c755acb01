"""Who plays in the demo: a calling application, the seller at Stripe, the world's clock, and an onlooker.

All of them use real HTTP, or read the database; none imports a service.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import httpx
import stripe

from mainstem.common.database import Connection
from mainstem.sandbox.stack import Client, Stack

SETTLE_SECONDS = 30
TIMEOUT_SECONDS = 60.0


class DemoError(Exception):
    """The story cannot go on; the text says what was asked and what came back."""


@dataclass
class Caller:
    """An application that calls through the gateway."""

    http: httpx.AsyncClient
    client: Client
    token: str = field(default="", repr=False)

    async def authorise(self) -> None:
        """Ask for a token, and use it from now on."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client.client_id,
            "client_secret": self.client.client_secret,
        }
        self.token = (await self._ask("POST", "/token", 200, data=form))["access_token"]

    async def create_contact(self, contact: dict[str, Any]) -> str:
        """Create a contact and return its id."""
        created = await self._ask("POST", "/ctms", 201, json=contact)
        return str(created["email"]["email_id"])

    async def _ask(self, method: str, path: str, status: int, **content: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = await self.http.request(method, path, headers=headers, **content)
        return _expect(answer, status)


@dataclass
class World:
    """The sandbox's control: the clock, held webhooks, what Acoustic knows, whether all is settled."""

    http: httpx.AsyncClient

    async def now(self) -> datetime:
        """Return the world's time."""
        return datetime.fromisoformat((await self._ask("GET", "/clock"))["now"])

    async def move_to(self, instant: datetime) -> None:
        """Move the clock; returns when all that fell due on the way was sent."""
        await self._ask("POST", "/clock", json={"to": instant.isoformat()})

    async def hold(self) -> None:
        """Keep Stripe's webhooks until they are released."""
        _expect(await self.http.post("/_sandbox/stripe/hold"), 204)

    async def release_scrambled(self) -> None:
        """Send what was kept, each twice, the last first."""
        await self._ask("POST", "/stripe/release", json={"order": "reversed", "times": 2})

    async def settle(self) -> dict[str, Any]:
        """Wait until nothing is outstanding and return the counts.

        Raises:
            DemoError: something still is, after half a minute.
        """
        counts = await self._ask("GET", f"/settled?wait_seconds={SETTLE_SECONDS}")
        if not counts["settled"]:
            raise DemoError(f"not settled after {SETTLE_SECONDS} s: {counts}")
        return counts

    async def acoustic(self) -> dict[str, Any]:
        """Return what Acoustic holds."""
        return await self._ask("GET", "/acoustic")

    async def fetches(self) -> int:
        """Return how many objects and lists were read at Stripe so far."""
        received = (await self._ask("GET", "/stripe/received"))["received"]
        return sum(request["method"] == "GET" for request in received)

    async def _ask(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        return _expect(await self.http.request(method, f"/_sandbox{path}", **content), 200)


@dataclass
class Actors:
    """Everyone who plays."""

    caller: Caller
    world: World
    seller: stripe.StripeClient
    database: Connection


@asynccontextmanager
async def open_actors(stack: Stack) -> AsyncIterator[Actors]:
    """Open everyone's connections to a running stack."""
    # The SDK's telemetry would leave a file in the home of whoever plays.
    stripe.enable_telemetry = False
    http = stripe.HTTPXClient()
    seller = stripe.StripeClient(
        stack.stripe.api_key,
        base_addresses={"api": stack.stripe.api_base},
        http_client=http,
        max_network_retries=0,
    )
    database = await asyncpg.connect(stack.database_url)
    try:
        async with (
            httpx.AsyncClient(base_url=stack.gateway, timeout=TIMEOUT_SECONDS) as gateway,
            httpx.AsyncClient(base_url=stack.sandbox, timeout=TIMEOUT_SECONDS) as sandbox,
        ):
            yield Actors(Caller(gateway, stack.clients["demo"]), World(sandbox), seller, database)
    finally:
        await database.close()
        await http.close_async()  # type: ignore[no-untyped-call]  # the SDK does not say


def _expect(answer: httpx.Response, status: int) -> dict[str, Any]:
    if answer.status_code != status:
        asked = f"{answer.request.method} {answer.request.url.path}"
        raise DemoError(f"{asked} answered {answer.status_code} instead of {status}: {answer.text[:500]}")
    return dict(answer.json()) if answer.content else {}
