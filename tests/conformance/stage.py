"""The stack of a run, as the runner uses it: callers at the gateway, the sandbox's control, the tables."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from tests.conformance.case import CaseError

from mainstem.gateway.clients import add as add_client
from mainstem.gateway.hashes import hash_secret
from mainstem.gateway.routes import SCOPES
from mainstem.sandbox.assembly import CLIENT
from mainstem.sandbox.stack import Stack

Json = Any

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.03
BEFORE_DELIVERY = ("events_leased", "events_due", "events_waiting", "outbox_unsettled")
DELIVERING = ("deliveries_leased", "deliveries_due")

SETTINGS = {
    "STRIPE_API_KEY": "",
    "MAINSTEM_DELETE_VANISHED_PRODUCTS": "0",
    "MAINSTEM_PRODUCT_RULES": "ctms-1.1.0",
}
"""Settings of a run's services, as at CTMS: payload mode, no deletions at Acoustic, its rule set."""

PENDING = """
SELECT contact_id, failures FROM contact.delivery
WHERE wanted > sent AND NOT (confirm_at IS NOT NULL AND failures = 0 AND due_at >= confirm_at)
ORDER BY contact_id
"""
"""What is to be delivered, but for the confirmation of what was delivered after a lost answer."""


class Stage:
    """One stack, used by one case at a time."""

    def __init__(
        self, stack: Stack, http: httpx.AsyncClient, tables: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        self._stack = stack
        self._http = http
        self.tables = tables
        self._token = ""

    async def empty(self) -> None:
        """Have everything as it was when the stack had started."""
        await self.control("POST", "/deliveries/pause")
        await self.control("DELETE", "/faults")
        await self.control("POST", "/empty")
        await self.control("POST", "/acoustic/reset")
        await self.tables.execute("DELETE FROM gateway.api_client WHERE client_id <> $1", self._client_id)
        await self.control("POST", "/deliveries/resume")

    @property
    def _client_id(self) -> str:
        return self._stack.clients[CLIENT].client_id

    async def control(self, method: str, path: str, **more: Any) -> Json:
        """Ask the sandbox; return its answer, None where it has none."""
        answer = await self._http.request(method, f"{self._stack.sandbox}/_sandbox{path}", **more)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def now(self) -> datetime:
        """Return the world's time."""
        return datetime.fromisoformat((await self.control("GET", "/clock"))["now"])

    async def token(self) -> str:
        """Return a token of the client that may do everything."""
        client = self._stack.clients[CLIENT]
        if not self._token:
            answer = await self._http.post(
                f"{self._stack.gateway}/token",
                data={"grant_type": "client_credentials"},
                auth=(client.client_id, client.client_secret),
            )
            self._token = answer.raise_for_status().json()["access_token"]
        return self._token

    async def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request to the gateway."""
        return await self._http.request(method, f"{self._stack.gateway}{path}", **more)

    async def add_clients(self, clients: Sequence[Mapping[str, Json]]) -> None:
        """Make API clients with the secrets that a case gives them."""
        for client in clients:
            await add_client(
                self.tables,
                client["client_id"],
                email="client@example.com",
                secret_hash=hash_secret(client["secret"]),
                scopes=list(SCOPES),
                at=await self.now(),
            )
            enabled = client.get("enabled", True)
            await self.tables.execute(
                "UPDATE gateway.api_client SET enabled = $2 WHERE client_id = $1",
                client["client_id"],
                enabled,
            )

    async def wait_until_none(self, *counts: str) -> None:
        """Return once nothing of these is outstanding.

        Raises:
            CaseError: something still was after a minute, or an event was given up.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            outstanding = await self.control("GET", "/settled")
            if outstanding["dead_letters"]:
                raise CaseError("an event was laid aside as dead")
            left = {name: outstanding[name] for name in counts if outstanding[name]}
            if not left:
                return
            if time.monotonic() > deadline:
                raise CaseError(f"still outstanding after {PATIENCE_SECONDS:.0f} s: {left}")
            await asyncio.sleep(POLL_SECONDS)

    async def pending(self) -> list[dict[str, Json]]:
        """Return the contacts that are to be delivered, each with its failures."""
        rows = await self.tables.fetch(PENDING)
        return [{"email_id": str(row["contact_id"]), "retry": row["failures"]} for row in rows]

    async def forget_bases(self) -> None:
        """Have each delivery that is to be made compared with nothing; this makes none due."""
        await self.tables.execute("UPDATE contact.delivery SET base = NULL WHERE wanted > sent")

    async def make_retries_due(self) -> None:
        """Have what failed tried again in the next window: CTMS waits for no more than its next cycle."""
        await self.tables.execute(
            "UPDATE contact.delivery SET due_at = least(due_at, $1) WHERE wanted > sent AND failures > 0",
            await self.now(),
        )

    async def want(self, email_ids: Sequence[str]) -> None:
        """Want of these contacts whatever differs from what was sent last."""
        await self.tables.execute(
            "UPDATE contact.delivery SET wanted = sent + 1, due_at = $2 WHERE contact_id = ANY($1::uuid[])",
            [UUID(email_id) for email_id in email_ids],
            await self.now(),
        )

    async def want_in_full(self, email_ids: Sequence[str]) -> None:
        """Want everything of these contacts sent now, and of nobody else anything."""
        await self.tables.execute("UPDATE contact.delivery SET sent = wanted, confirm_at = NULL")
        await self.tables.execute(
            "UPDATE contact.delivery SET wanted = sent + 1, base = NULL, failures = 0, is_unknown = false,"
            " due_at = $2 WHERE contact_id = ANY($1::uuid[])",
            [UUID(email_id) for email_id in email_ids],
            await self.now(),
        )

    async def deliver(self) -> list[dict[str, Json]]:
        """Deliver what is due, once, and return the calls that Acoustic got meanwhile."""
        before = await self._received()
        last = before[-1]["number"] if before else 0
        await self.control("POST", "/deliveries/resume")
        await self.wait_until_none(*DELIVERING)
        await self.control("POST", "/deliveries/pause")
        return [one for one in await self._received() if one["number"] > last and "rows" in one]

    async def _received(self) -> list[dict[str, Json]]:
        received: list[dict[str, Json]] = (await self.control("GET", "/acoustic/received"))["received"]
        return received


@asynccontextmanager
async def open_stage(stack: Stack) -> AsyncIterator[Stage]:
    """Open a stage on a stack that runs."""
    tables = await asyncpg.connect(stack.database_url)
    try:
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
            yield Stage(stack, http, tables)
    finally:
        await tables.close()
