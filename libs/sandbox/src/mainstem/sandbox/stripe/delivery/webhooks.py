"""Sending events to webhook endpoints: signed, several at once, and again when that failed.

Everything here lives by machine time. No order is promised, as at Stripe; nothing of ours travels along
but what Stripe sends.
"""

import asyncio
import hashlib
import hmac
import time
from collections import defaultdict, deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
from opentelemetry.instrumentation.utils import suppress_http_instrumentation

from mainstem.sandbox.stand_ins.faults import Fault, Faults, Kind
from mainstem.sandbox.stand_ins.protocol import Order
from mainstem.sandbox.stripe.delivery.events import rendered
from mainstem.sandbox.stripe.delivery.webhook_endpoints import interested
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.deliveries import WebhookDelivery
from mainstem.sandbox.stripe.state.history import StripeEvent
from mainstem.sandbox.stripe.state.store import Json

TARGET = "stripe.webhook"
"""The name under which faults are scripted for what is sent."""

_AT_ONCE = 8
"""Maximum number of requests to one endpoint under way at once."""


@dataclass(frozen=True)
class Patience:
    """Timeout of a delivery's response, and the number and spacing of its retries.

    Waits double from the first to the longest.
    """

    attempts: int = 20
    first_seconds: float = 1.0
    longest_seconds: float = 30.0
    timeout_seconds: float = 10.0

    def wait(self, failed: int) -> float | None:
        """Return the seconds to wait after so many failed attempts, None if there is no further one."""
        if failed >= self.attempts:
            return None
        return float(min(self.longest_seconds, self.first_seconds * 2 ** (failed - 1)))


def signature(secret: str, body: bytes, at: int) -> str:
    """Return the `Stripe-Signature` of a body that is sent at this machine time, in seconds."""
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class WebhookSender:
    """Deliveries queued, under way and waiting for their next attempt; it runs from `start` to `stop`."""

    def __init__(self, account: StripeAccount, faults: Faults, patience: Patience | None = None) -> None:
        self._account = account
        self._faults = faults
        self._patience = patience or Patience()
        self._client: httpx.AsyncClient | None = None
        self._queues: defaultdict[str, deque[WebhookDelivery]] = defaultdict(deque)
        self._under_way: defaultdict[str, int] = defaultdict(int)
        self._tasks: set[asyncio.Task[None]] = set()
        self._retries: dict[int, asyncio.TimerHandle] = {}
        self._held: list[WebhookDelivery] | None = None
        self._recall()
        account.tell = self.tell

    def _recall(self) -> None:
        """Take up what the account keeps; what waited for a retry, or was under way, is sent anew."""
        deliveries = self._account.deliveries
        self._held = [] if deliveries.is_holding else None
        for delivery, state in deliveries.recall():
            if state == "held" and self._held is not None:
                self._held.append(delivery)
            elif state != "given_up":
                self._queues[delivery.endpoint].append(delivery)

    def tell(self, event: StripeEvent) -> None:
        """Queue an event for every endpoint that wants its type."""
        is_connected = event.account is not None
        for endpoint in interested(self._account, event.type, is_connected=is_connected):
            delivery = WebhookDelivery(event, endpoint["id"])
            self._account.deliveries.begin(delivery, "due" if self._held is None else "held")
            if self._held is None:
                self._queue(delivery)
            else:
                self._held.append(delivery)

    def start(self) -> None:
        """Begin to send, also what was queued before; safe to repeat."""
        if self._client is None:
            # The machine's proxy settings must not lead the sandbox's requests outside.
            self._client = httpx.AsyncClient(timeout=self._patience.timeout_seconds, trust_env=False)
        for endpoint in list(self._queues):
            self._pump(endpoint)

    async def stop(self) -> None:
        """Stop sending; what was not confirmed is the archive's alone from now on. Safe to repeat."""
        self._forget()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _forget(self) -> None:
        for retry in self._retries.values():
            retry.cancel()
        self._retries.clear()
        self._queues.clear()
        self._held = None

    def pending(self) -> int:
        """Return how many deliveries are queued, under way or wait for a retry; held ones do not count."""
        queued = sum(len(queue) for queue in self._queues.values())
        return queued + len(self._tasks) + len(self._retries)

    async def drain(self) -> None:
        """Return when nothing is queued or under way; what waits for its retry may still do so."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def hold(self) -> None:
        """Keep back what happens from now on; safe to repeat."""
        if self._held is None:
            self._held = []
            self._account.deliveries.hold(is_holding=True)
            self._account.archive.commit()

    def held(self) -> int:
        """Return how many deliveries are kept back."""
        return len(self._held or ())

    async def release(self, *, order: Order = "recorded", times: int = 1) -> int:
        """Send what was kept back, each delivery so many times, strictly one after the other.

        Return how many deliveries were kept back. What happens from now on is sent at once.
        """
        held, self._held = self._held or [], None
        for delivery in held:
            self._account.deliveries.keep(delivery, "due")
        self._account.deliveries.hold(is_holding=False)
        self._account.archive.commit()
        for delivery in held if order == "recorded" else held[::-1]:
            for _ in range(times):
                await self._spawn(self._deliver(WebhookDelivery(delivery.event, delivery.endpoint)))
        return len(held)

    def _queue(self, delivery: WebhookDelivery) -> None:
        self._queues[delivery.endpoint].append(delivery)
        self._pump(delivery.endpoint)

    def _pump(self, endpoint: str) -> None:
        queue = self._queues[endpoint]
        while self._client is not None and queue and self._under_way[endpoint] < _AT_ONCE:
            self._under_way[endpoint] += 1
            self._spawn(self._work(endpoint, queue.popleft()))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _work(self, endpoint: str, delivery: WebhookDelivery) -> None:
        try:
            await self._deliver(delivery)
        finally:
            self._under_way[endpoint] -= 1
            self._pump(endpoint)

    async def _deliver(self, delivery: WebhookDelivery) -> None:
        endpoint = self._account.store.find("webhook_endpoint", delivery.endpoint)
        if endpoint is None or self._client is None:
            return
        fault = self._faults.match(TARGET, "POST", endpoint["url"])
        if await self._send(self._client, endpoint, delivery.event, fault):
            self._account.deliveries.confirm(delivery.event, delivery.endpoint)
        else:
            self._retry(delivery)
        self._account.archive.commit()

    async def _send(
        self, client: httpx.AsyncClient, endpoint: Json, event: StripeEvent, fault: Fault | None
    ) -> bool:
        """Return whether the endpoint has confirmed the event."""
        if fault is not None:
            await asyncio.sleep(fault.delay_seconds)
            if fault.kind is Kind.DROP:
                return False
            if fault.kind is Kind.DUPLICATE:
                await self._post(client, endpoint, event)
        return await self._post(client, endpoint, event)

    async def _post(self, client: httpx.AsyncClient, endpoint: Json, event: StripeEvent) -> bool:
        version = endpoint["api_version"] or self._account.api_version
        body = msgspec.json.format(msgspec.json.encode(rendered(event, version)), indent=2)
        headers = {
            "Accept": "*/*; q=0.5, application/xml",
            "Cache-Control": "no-cache",
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(endpoint["_secret"], body, int(time.time())),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            # Stripe sends no trace context, whatever this process does about its own requests.
            with suppress_http_instrumentation():
                async with asyncio.timeout(self._patience.timeout_seconds):
                    answer = await client.post(endpoint["url"], content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            return False
        return answer.is_success

    def _retry(self, delivery: WebhookDelivery) -> None:
        delivery.failed += 1
        wait = self._patience.wait(delivery.failed)
        self._account.deliveries.keep(delivery, "given_up" if wait is None else "due")
        if wait is None:
            return
        self._retries[id(delivery)] = asyncio.get_running_loop().call_later(wait, self._again, delivery)

    def _again(self, delivery: WebhookDelivery) -> None:
        del self._retries[id(delivery)]
        self._queue(delivery)
