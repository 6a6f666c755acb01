"""Actors of the demo: an application, a person's browser, the seller at Stripe, the clock, an onlooker.

All of them use real HTTP, or read the database; none imports a service.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import httpx
import stripe

from mainstem.common.database.pool import Connection
from mainstem.sandbox.demo.browser import Browser, open_browser
from mainstem.sandbox.stack.folder import GatewayClient, Stack

SETTLE_SECONDS = 30
TIMEOUT_SECONDS = 60.0

FETCHED = re.compile(r"^/v1/(?!checkout/)\w+/\w|^/v1/subscription_items$")
"""Paths at which ingest reads objects and their lists; billing's searches use other paths."""

SUBSCRIPTIONS = "/billing/subscriptions"

Owner = Mapping[str, str]
"""Owner that a product is sold to: a `kind` of identity, and its `value`."""


class DemoError(Exception):
    """The story cannot go on; the text says what was asked and what came back."""


@dataclass
class Caller:
    """An application that calls through the gateway."""

    http: httpx.AsyncClient
    client: GatewayClient
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

    async def register(self, owner: Owner, email: str) -> None:
        """Say to whom something will be sold."""
        await self._ask("PUT", _account(owner), 201, json={"email": email})

    async def find_customer(self, owner: Owner) -> str | None:
        """Return who a registered owner is at Stripe, None if nobody yet."""
        customer: str | None = (await self._ask("GET", _account(owner), 200))["stripe_customer_id"]
        return customer

    async def buy(self, owner: Owner) -> str:
        """Return where the owner can buy what is on sale."""
        bought = await self._ask("POST", SUBSCRIPTIONS, 200, json={"owner": owner})
        return str(bought["checkout_session_url"])

    async def manage(self, owner: Owner, intent: str, **more: str) -> str:
        """Return where the owner can do at the portal what they intend."""
        wanted = {"owner": owner, "intent": intent, **more}
        managed = await self._ask("POST", f"{SUBSCRIPTIONS}/manage", 200, json=wanted)
        return str(managed["billing_portal_session_url"])

    async def get_refusal(self, owner: Owner, intent: str) -> str:
        """Return why the owner cannot do what they intend."""
        refused = await self._ask(
            "POST", f"{SUBSCRIPTIONS}/manage", 409, json={"owner": owner, "intent": intent}
        )
        return str(refused["detail"])

    async def list_subscriptions(self, owner: Owner) -> list[dict[str, Any]]:
        """Return what the owner has bought, the oldest first."""
        query = {f"owner_{name}": value for name, value in owner.items()}
        listed = await self._ask("GET", SUBSCRIPTIONS, 200, params=query)
        return list(listed["subscriptions"])

    async def _ask(self, method: str, path: str, status: int, **content: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = await self.http.request(method, path, headers=headers, **content)
        return _expect(answer, status)


@dataclass
class WorldControl:
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
        """Return how many objects, and lists in them, were fetched at Stripe so far."""
        received = (await self._ask("GET", "/stripe/received"))["received"]
        return sum(one["method"] == "GET" and FETCHED.search(one["path"]) is not None for one in received)

    async def _ask(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        return _expect(await self.http.request(method, f"/_sandbox{path}", **content), 200)


@dataclass
class Actors:
    """Everyone who plays."""

    caller: Caller
    browser: Browser
    world: WorldControl
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
            open_browser() as browser,
        ):
            caller = Caller(gateway, stack.clients["demo"])
            yield Actors(caller, browser, WorldControl(sandbox), seller, database)
    finally:
        await database.close()
        await http.close_async()  # type: ignore[no-untyped-call]  # the SDK does not say


def _account(owner: Owner) -> str:
    return f"/billing/accounts/{owner['kind']}/{owner['value']}"


def _expect(answer: httpx.Response, status: int) -> dict[str, Any]:
    if answer.status_code != status:
        asked = f"{answer.request.method} {answer.request.url.path}"
        raise DemoError(f"{asked} answered {answer.status_code} instead of {status}: {answer.text[:500]}")
    return dict(answer.json()) if answer.content else {}
