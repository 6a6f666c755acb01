"""Stage of the attacks: a stack of its own with tight limits, its doors, and its innocent callers."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import stripe
import stripe_events as events
from tests.attacks.case import METHODS, Door
from tests.attacks.wire import Outcome, fetch

from mainstem.sandbox.stack.assembly import Options
from mainstem.sandbox.stack.folder import Stack
from mainstem.sandbox.stack.launcher import Launcher
from mainstem.sandbox.stack.programs import PROGRAMS

LIMIT_SECONDS = 2
"""The time limits of the processes under attack; `PATIENCE_SECONDS` is longer."""

LIMITS = {
    "MAINSTEM_HEAD_SECONDS": str(LIMIT_SECONDS),
    "MAINSTEM_BODY_SECONDS": str(LIMIT_SECONDS),
    "MAINSTEM_IDLE_SECONDS": str(LIMIT_SECONDS),
    "MAINSTEM_CIRCUIT_SECONDS": "1",
    "MAINSTEM_CONNECTIONS": "1000",
    "MAINSTEM_CONNECTIONS_PER_ADDRESS": "500",
}

RECOVERY_SECONDS = 5.0
SERVICES = ("gateway", "ingest", "sync", "billing")
BILLING_GET = b"/billing/return?session_id=x"
CONTACT = {
    "email": {"email_id": "00000000-0000-4000-8000-000000000001", "primary_email": "innocent@example.com"}
}
VARYING = frozenset({b"date", b"x-request-id", b"server"})

Address = tuple[str, int]
Impression = tuple[int, tuple[bytes, ...], bytes]
"""Status, content type and body of an answer."""


def address_of(url: str) -> Address:
    """Return where a base URL leads."""
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 80)


def plainly(method: str, target: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    """Return a request that ends its connection."""
    length = (b"Content-Length: %d" % len(body),) if body or method != "GET" else ()
    head = (
        b"%b %b HTTP/1.1" % (method.encode(), target),
        b"Host: innocent",
        b"Connection: close",
        *length,
        *lines,
    )
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def signed(secret: str, body: bytes) -> bytes:
    """Return the signature of a webhook, as a header line."""
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(time.time()))
    return b"Stripe-Signature: " + str(header).encode()


@dataclass
class Stage:
    """A running stack, and how it answers when nobody attacks."""

    stack: Stack
    pids: Mapping[str, int]
    token: bytes = b""
    _plain: dict[tuple[str, str], int] = field(default_factory=dict)
    _impressions: dict[str, Impression] = field(default_factory=dict)

    @property
    def doors(self) -> Mapping[str, Door]:
        """Each process directly, and the gateway with each service behind it."""
        gateway, sync = address_of(self.stack.gateway), address_of(self.stack.sync)
        contact = f"/ctms/{CONTACT['email']['email_id']}?a=b".encode()
        unknown = b"/billing/accounts/github_user_id/1?a=b"
        doors = (
            Door("gateway", gateway, b"/.well-known/jwks.json?a=b", b"/token"),
            Door("ingest", address_of(self.stack.ingest), b"/__lbheartbeat__?a=b", b"/webhooks/stripe"),
            Door("sync", sync, contact, b"/ctms"),
            Door("billing", address_of(self.stack.billing), BILLING_GET, b"/billing/subscriptions"),
            Door("gateway-ingest", gateway, b"/webhooks/stripe?a=b", b"/webhooks/stripe"),
            Door("gateway-sync", gateway, contact, b"/ctms", self.authorization),
            Door("gateway-billing", gateway, BILLING_GET, b"/billing/subscriptions", self.authorization),
            Door("gateway-accounts", gateway, unknown, unknown, self.authorization),
        )
        return {door.name: door for door in doors}

    @property
    def authorization(self) -> bytes:
        """The innocent client's header line."""
        return b"Authorization: Bearer " + self.token + b"\r\n"

    async def open(self) -> None:
        """Get a token, create the contact that is read, and see how innocent callers are answered."""
        client = self.stack.clients["demo"]
        form = {
            "grant_type": "client_credentials",
            "client_id": client.client_id,
            "client_secret": client.client_secret,
        }
        content = (b"Content-Type: application/x-www-form-urlencoded",)
        answer = await fetch(
            address_of(self.stack.gateway),
            plainly("POST", b"/token", *content, body=urlencode(form).encode()),
        )
        self.token = str(json.loads(answer.answers[0].body)["access_token"]).encode()
        await self._post(b"/ctms", CONTACT)
        self._impressions = await self.ask_innocents("")
        for door in self.doors.values():
            for method in METHODS:
                await self.plain(method, door)

    async def plain(self, method: str, door: Door) -> int:
        """Return the status of a plain request at a door."""
        key = (method, door.name)
        if key not in self._plain:
            target = door.get if method in {"GET", "HEAD"} else door.post
            lines = [door.credentials.strip()] if door.credentials else []
            outcome = await fetch(door.address, plainly(method, target, *lines))
            self._plain[key] = int(outcome.rest[9:12]) if method == "HEAD" else outcome.statuses[0]
        return self._plain[key]

    async def harm(self, door: str = "") -> list[str]:
        """Return which innocent callers are not answered as before, after an attack on a door."""
        found = await self.ask_innocents(door)
        problems = [
            f"{name}: {one}, not {self._impressions[name]}"
            for name, one in found.items()
            if one != self._impressions[name]
        ]

        if problems:
            await self._recover()
        return problems

    async def _recover(self) -> None:
        """Wait until every caller is answered as before, so that the next attack is judged by itself."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RECOVERY_SECONDS):
                while await self.ask_innocents("") != self._impressions:  # noqa: ASYNC110 -- other processes
                    await asyncio.sleep(0.1)

    async def ask_innocents(self, door: str) -> dict[str, Impression]:
        """Call every upstream through the gateway, and the processes, or only the one behind a door."""
        return {
            name: impression(await fetch(where, what))
            for name, (where, what) in self._innocents(door).items()
        }

    def _innocents(self, door: str) -> Mapping[str, tuple[Address, bytes]]:
        gateway = address_of(self.stack.gateway)
        event = events.event("customer.created", events.customer())
        webhook = plainly(
            "POST", b"/webhooks/stripe", signed(self.stack.stripe.webhook_secret, event), body=event
        )
        contact = plainly("GET", self.doors["sync"].get, self.authorization.strip())
        page = plainly("GET", BILLING_GET)
        every: dict[str, tuple[Address, bytes]] = {
            "gateway": (gateway, plainly("GET", b"/.well-known/jwks.json")),
            "gateway-ingest": (gateway, webhook),
            "gateway-sync": (gateway, contact),
            "gateway-billing": (gateway, page),
            "ingest": (address_of(self.stack.ingest), webhook),
            "sync": (address_of(self.stack.sync), plainly("GET", b"/__lbheartbeat__")),
            "billing": (address_of(self.stack.billing), page),
        }
        behind = {
            "gateway",
            "gateway-ingest",
            "gateway-sync",
            "gateway-billing",
            door.removeprefix("gateway-"),
        }
        return {name: one for name, one in every.items() if not door or name in behind}

    async def _post(self, target: bytes, content: Any) -> None:
        body = json.dumps(content).encode()
        lines = (self.authorization.strip(), b"Content-Type: application/json")
        await fetch(address_of(self.stack.gateway), plainly("POST", target, *lines, body=body))


def impression(outcome: Outcome) -> Impression:
    """Return what a caller notices of an answer."""
    if len(outcome.answers) != 1 or outcome.rest or not outcome.is_closed:
        return (0, (b"%d answers" % len(outcome.answers),), outcome.rest)
    answer = outcome.answers[0]
    return (answer.status, tuple(answer.values(b"content-type")), answer.body)


def rss_of(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    (line,) = [
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")
    ]
    return int(line.split()[1]) * 1024


@asynccontextmanager
async def open_stage(
    *, limits: Mapping[str, str] = LIMITS, with_workers: bool = False
) -> AsyncIterator[Stage]:
    """Start a stack and open the stage on it."""
    programs: Sequence[Any] = [one for one in PROGRAMS if with_workers or not one.name.endswith("-worker")]
    launcher = Launcher(Options(settings=dict(limits)), programs=programs)
    async with launcher as stack:
        stage = Stage(stack, launcher.pids)
        await stage.open()
        yield stage
