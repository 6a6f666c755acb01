"""Client of Stripe's API: reads are repeated, and each creation has an idempotency key of ours.

The only file of billing that imports `stripe`. It returns JSON objects, never the SDK's.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import stripe
import structlog

from mainstem.billing.stripe.refusals import StripeRefusedError, refused
from mainstem.common.errors import NotSupportedError, UnavailableError

PROVIDER = "stripe"
API_VERSION = "2026-10-28.endive"
TIMEOUT_SECONDS = 5.0
"""Time limit of one answer."""
PATIENCE_SECONDS = 8.0
"""Time limit of repeating a request whose outcome is unknown."""
PAUSES = (0.1, 0.3, 0.8)
PAGE = 100
KEY_SECONDS = 82_800
"""Seconds that a key is relied on; Stripe forgets it after 24 h. https://docs.stripe.com/api/idempotent_requests"""

_UNSETTLED = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        # Another request under the same key is in progress.
        HTTPStatus.CONFLICT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
MISSING = "resource_missing"
NOT_SUPPORTED = "not supported"

Object = dict[str, Any]
T = TypeVar("T")

log = structlog.get_logger()


class OutcomeUnknownError(UnavailableError):
    """No answer says whether Stripe acted; a repeat under the same key finds out.

    `is_kept`: the key repeats this failure for good, so that only a read finds out.
    """

    def __init__(self, reason: str, *, is_kept: bool = False) -> None:
        super().__init__("Stripe did not answer", headers={"Retry-After": "2"})
        self.reason = reason
        self.is_kept = is_kept


class Stripe:
    """Client of one account at Stripe. Each call is repeated until its outcome is known."""

    def __init__(
        self, api_key: str, api_base: str, http: stripe.HTTPXClient, patience_seconds: float
    ) -> None:
        self._patience_seconds = patience_seconds
        self._client = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base.rstrip("/")},
            max_network_retries=0,
            http_client=http,
        )

    async def list_prices(self, lookup_keys: Sequence[str], *, is_active: bool) -> list[Object]:
        """Return the prices, active or archived, that have one of the lookup keys; each with its product."""
        query = {"lookup_keys": list(lookup_keys), "active": is_active, "limit": PAGE}
        return await self._list("/v1/prices", {**query, "expand": ["data.product"]})

    async def get_price(self, price: str) -> Object:
        """Return a price by its id, with its product."""
        return await self._call("get", f"/v1/prices/{_part(price)}", {"expand": ["product"]})

    async def find_customer(self, email: str, account: str) -> Object | None:
        """Return the customer that was created for an account of ours, None if there is none."""
        found = await self._list("/v1/customers", {"email": email, "limit": PAGE})
        mine = [
            customer for customer in found if customer.get("metadata", {}).get("mainstem_account") == account
        ]
        return min(mine, key=lambda customer: (customer["created"], customer["id"]), default=None)

    async def create_customer(self, customer: Mapping[str, Any], key: str) -> Object:
        """Create a customer, once a key."""
        return await self._call("post", "/v1/customers", customer, key)

    async def list_subscriptions(self, customer: str) -> list[Object]:
        """Return a customer's subscriptions that have not ended."""
        return await self._list("/v1/subscriptions", {"customer": customer, "limit": PAGE})

    async def get_subscription(self, subscription: str) -> Object:
        """Return a subscription by its id."""
        return await self._call("get", f"/v1/subscriptions/{_part(subscription)}")

    async def update_subscription(self, subscription: str, changes: Mapping[str, Any], key: str) -> Object:
        """Change a subscription, once a key."""
        return await self._call("post", f"/v1/subscriptions/{_part(subscription)}", changes, key)

    async def cancel_subscription(self, subscription: str) -> None:
        """Cancel a subscription at once; Stripe refuses a repeat.

        Raises:
            StripeRefusedError: it has ended.
        """
        await self._call("delete", f"/v1/subscriptions/{_part(subscription)}")

    async def get_schedule(self, schedule: str) -> Object:
        """Return a subscription schedule by its id."""
        return await self._call("get", f"/v1/subscription_schedules/{_part(schedule)}")

    async def create_session(self, session: Mapping[str, Any], key: str) -> Object:
        """Create a Checkout session, once a key."""
        return await self._call("post", "/v1/checkout/sessions", session, key)

    async def get_session(self, session: str) -> Object:
        """Return a Checkout session with its subscription and its invoice inside."""
        inside = {"expand": ["subscription", "invoice"]}
        return await self._call("get", f"/v1/checkout/sessions/{_part(session)}", inside)

    async def list_payments(self, invoice: str) -> list[Object]:
        """Return an invoice's payments with their payment intents inside.

        An invoice itself has not named them since 2025-03-31, and from a session they would be five levels
        deep, of which Stripe expands four. https://docs.stripe.com/expand
        """
        inside = {"expand": ["data.payment.payment_intent"]}
        return await self._list("/v1/invoice_payments", {"invoice": invoice, "limit": PAGE, **inside})

    async def get_invoice(self, invoice: str) -> Object:
        """Return an invoice with its payments and their payment intents inside."""
        inside = {"expand": ["payments.data.payment.payment_intent"]}
        return await self._call("get", f"/v1/invoices/{_part(invoice)}", inside)

    async def void_invoice(self, invoice: str) -> None:
        """Void an invoice, so that it can never be paid; Stripe refuses a repeat.

        Raises:
            StripeRefusedError: it is neither open nor uncollectible any more.
        """
        await self._call("post", f"/v1/invoices/{_part(invoice)}/void")

    async def find_session(self, customer: str, metadata: Mapping[str, str]) -> Object | None:
        """Return the customer's Checkout session that bears these metadata, if there is one."""
        found = await self._list("/v1/checkout/sessions", {"customer": customer, "limit": PAGE})
        mine = (session for session in found if metadata.items() <= (session.get("metadata") or {}).items())
        return next(mine, None)

    async def expire_session(self, session: str) -> None:
        """End a Checkout session that is open; safe to repeat, so that no key has to answer for a day.

        Raises:
            StripeRefusedError: it is not open any more.
        """
        await self._call("post", f"/v1/checkout/sessions/{_part(session)}/expire")

    async def create_portal_session(self, session: Mapping[str, Any]) -> Object:
        """Create a portal session; a second one does no harm."""
        return await self._call("post", "/v1/billing_portal/sessions", session)

    async def _list(self, path: str, query: Mapping[str, Any]) -> list[Object]:
        found: list[Object] = []
        after: dict[str, str] = {}
        while True:
            page = await self._call("get", path, {**query, **after})
            found += page["data"]
            if not page["has_more"] or not page["data"]:
                return found
            after = {"starting_after": page["data"][-1]["id"]}

    async def _call(
        self, method: str, path: str, params: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Object:
        """Send a request until an answer gives its outcome.

        Raises:
            OutcomeUnknownError: no answer did in time.
            StripeRefusedError: Stripe refused the request.
        """
        give_up_at = time.monotonic() + self._patience_seconds
        for number in range(1_000):
            try:
                return await self._once(method, path, {**(params or {}), **_key(key)})
            except StripeRefusedError as error:
                cause = error.refusal
                log.warning(
                    "stripe_request.refused",
                    method=method,
                    path=path,
                    status=cause.status,
                    type=cause.type,
                    code=cause.code,
                    param=cause.param,
                    message=cause.message,
                    # `request_id` is that of the request to billing.
                    stripe_request_id=cause.request_id,
                )
                raise
            except OutcomeUnknownError as error:
                pause = PAUSES[min(number, len(PAUSES) - 1)] * random.uniform(1.0, 1.5)
                if error.is_kept or time.monotonic() + pause > give_up_at:
                    raise
                await asyncio.sleep(pause)
        raise OutcomeUnknownError("asked a thousand times")

    async def _once(self, method: str, path: str, params: Mapping[str, Any]) -> Object:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                answer = await self._client.raw_request_async(method, path, **params)
            decoded = msgspec.json.decode(answer.body, type=Object)
        except TimeoutError:
            raise OutcomeUnknownError("timeout") from None
        except msgspec.DecodeError:
            raise OutcomeUnknownError("no JSON object") from None
        except stripe.StripeError as error:
            raise _explained(error, params) from None
        if "object" not in decoded:
            # Every answer of Stripe names its type.
            raise OutcomeUnknownError("no Stripe object")
        return decoded


def require_key(needs_key: T | None) -> T:
    """Return what the assembly built for a Stripe key.

    Raises:
        NotSupportedError: STRIPE_API_KEY is not set, so that nothing was built.
    """
    if needs_key is None:
        raise NotSupportedError(NOT_SUPPORTED)
    return needs_key


def is_forgotten(asked_at: datetime, now: datetime) -> bool:
    """Return whether a key that was first used then may be forgotten by now, in world time."""
    return now - asked_at > timedelta(seconds=KEY_SECONDS)


def _explained(
    error: stripe.StripeError, sent: Mapping[str, Any]
) -> OutcomeUnknownError | StripeRefusedError:
    status = error.http_status
    if status is None or status in _UNSETTLED or not 400 <= status < 500:  # noqa: PLR2004 -- client errors
        headers = {name.lower(): value for name, value in dict(error.headers or {}).items()}
        reason = f"{status or ''} {type(error).__name__}".strip()
        return OutcomeUnknownError(reason, is_kept=headers.get("idempotent-replayed") == "true")
    return refused(status, error.json_body, error.request_id, sent)


def _key(key: str | None) -> dict[str, str]:
    return {} if key is None else {"idempotency_key": key}


def _part(value: str) -> str:
    return quote(value, safe="")


@asynccontextmanager
async def open_stripe(
    api_key: str, api_base: str, *, patience_seconds: float = PATIENCE_SECONDS
) -> AsyncIterator[Stripe]:
    """Open a client; Stripe need not be reachable."""
    # The SDK's telemetry would write into the home of the process; its file system may be read-only.
    stripe.enable_telemetry = False
    http = stripe.HTTPXClient(timeout=TIMEOUT_SECONDS)
    try:
        yield Stripe(api_key, api_base, http, patience_seconds)
    finally:
        await http.close_async()  # type: ignore[no-untyped-call]  # the SDK does not say
