"""Five innocent callers beside the attacks: every answer must be the right one."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode
from uuid import UUID, uuid5

import stripe_events as events
from tests.attacks.stage import BILLING_GET, CONTACT, Stage, address_of, impression, plainly, signed
from tests.attacks.wire import Answer, fetch

NAMESPACE = UUID("00000000-0000-4000-8000-000000000000")
JSON = b"Content-Type: application/json"
FORM = b"Content-Type: application/x-www-form-urlencoded"
ACCOUNT = b"/billing/accounts/github_user_id/4711"
PAUSE_SECONDS = {"webhooks": 0.02, "contacts": 0.2, "reader": 0.05, "billing": 0.05, "tokens": 0.5}


@dataclass
class Callers:
    """The five, with what they did and what went wrong."""

    stage: Stage
    name: str
    """Part of every id, so that two runs do not meet."""
    requests: Counter[str] = field(default_factory=Counter)
    harms: list[str] = field(default_factory=list)
    stored: int = 0
    """How many webhooks were answered with 202; every one must be in the inbox."""
    _account: bytes = b""

    async def open(self) -> None:
        """Register the account that is read."""
        body = json.dumps({"email": "innocent@example.com"}).encode()
        await self._call("billing", "PUT", ACCOUNT, JSON, body=body, wanted=(200, 201))
        answer = await self._call("billing", "GET", ACCOUNT, wanted=(200,))
        self._account = answer.body if answer else b""

    async def warm_up(self, rounds: int) -> None:
        """Let each caller make so many rounds."""
        await asyncio.gather(*(self._rounds(name, rounds) for name in self._acts))

    async def run(self, over: asyncio.Event) -> None:
        """Call until it is over."""
        await asyncio.gather(*(self._run(name, over) for name in self._acts))

    async def _rounds(self, name: str, rounds: int) -> None:
        for _ in range(rounds):
            await self._acts[name]()

    async def _run(self, name: str, over: asyncio.Event) -> None:
        while not over.is_set():
            await self._acts[name]()
            await asyncio.sleep(PAUSE_SECONDS[name])

    @property
    def _acts(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "webhooks": self._send_webhook,
            "contacts": self._create_contact,
            "reader": self._read_contact,
            "billing": self._read_billing,
            "tokens": self._get_token,
        }

    async def _send_webhook(self) -> None:
        number = self.requests["webhooks"]
        event = events.event(
            "balance.available", {"id": "ba_1", "object": "balance"}, one=f"evt_{self.name}_{number}"
        )
        line = signed(self.stage.stack.stripe.webhook_secret, event)
        if await self._call("webhooks", "POST", b"/webhooks/stripe", line, body=event, wanted=(202,)):
            self.stored += 1

    async def _create_contact(self) -> None:
        named = uuid5(NAMESPACE, f"{self.name} {self.requests['contacts']}")
        one = str(UUID(bytes=named.bytes, version=4))
        contact = {"email": {"email_id": one, "primary_email": f"{one}@example.com"}}
        await self._call("contacts", "POST", b"/ctms", JSON, body=json.dumps(contact).encode(), wanted=(201,))
        answer = await self._call("contacts", "GET", f"/ctms/{one}".encode(), wanted=(200,))
        if answer and json.loads(answer.body)["email"]["email_id"] != one:
            self.harms.append("contacts: another contact was answered")

    async def _read_contact(self) -> None:
        email = CONTACT["email"]
        answer = await self._call("reader", "GET", f"/ctms/{email['email_id']}".encode(), wanted=(200,))
        if answer and json.loads(answer.body)["email"]["primary_email"] != email["primary_email"]:
            self.harms.append("reader: another contact was answered")

    async def _read_billing(self) -> None:
        answer = await self._call("billing", "GET", ACCOUNT, wanted=(200,))
        if answer and answer.body != self._account:
            self.harms.append("billing: another account was answered")
        await self._call("billing", "GET", BILLING_GET, wanted=(404,))

    async def _get_token(self) -> None:
        client = self.stage.stack.clients["demo"]
        form = {
            "grant_type": "client_credentials",
            "client_id": client.client_id,
            "client_secret": client.client_secret,
        }
        answer = await self._call(
            "tokens", "POST", b"/token", FORM, body=urlencode(form).encode(), wanted=(200,)
        )
        if answer:
            self.stage.token = json.loads(answer.body)["access_token"].encode()
        await self._call("tokens", "GET", b"/.well-known/jwks.json", wanted=(200,))

    async def _call(
        self,
        caller: str,
        method: str,
        target: bytes,
        *lines: bytes,
        body: bytes = b"",
        wanted: tuple[int, ...],
    ) -> Answer | None:
        self.requests[caller] += 1
        own = (
            *lines,
            *([self.stage.authorization.strip()] if caller in {"contacts", "reader", "billing"} else []),
        )
        try:
            outcome = await fetch(
                address_of(self.stage.stack.gateway), plainly(method, target, *own, body=body)
            )
        except OSError as error:
            self.harms.append(f"{caller}: {method} {target.decode()}: {type(error).__name__}")
            return None
        found = impression(outcome)
        if found[0] in wanted:
            return outcome.answers[0]
        self.harms.append(f"{caller}: {method} {target.decode()}: {found[0]} {found[2][:100]!r}")
        return None
