"""Stripe itself: verifies what it signed (stop 1) and fetches its objects (stop 3).

The one file that imports `stripe`. What goes out are raw bytes, never the SDK's objects: building those
takes a hundred times as long as parsing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec
import stripe

from mainstem.ingest.providers.protocol import FetchError, RefusedError, SignatureError

PROVIDER = "stripe"
API_VERSION = "2026-10-28.endive"
"""The version whose shapes we ask for; payloads come in those of their endpoint."""

TOLERANCE_SECONDS = 300
SIGNATURE_BYTES = 4 * 1024
"""Of a signature header; Stripe's own have about a hundred for each secret that signs."""
FETCH_SECONDS = 10.0
"""How long one object may take, all pages of its lists included."""
PAGE = 100

PATHS = {
    "customer": "/v1/customers/{}",
    "product": "/v1/products/{}",
    "price": "/v1/prices/{}",
    "subscription": "/v1/subscriptions/{}",
    "invoice": "/v1/invoices/{}",
}
LISTS = {
    "subscription": ("items", "/v1/subscription_items?subscription={}"),
    "invoice": ("lines", "/v1/invoices/{}/lines?"),
}
"""Which nested list an object has, and where the whole of it is read."""

PASSING = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
"""Answers that say nothing of the object: a key can be mended, a limit passes."""

LIVEMODES = {"sk_live_": True, "rk_live_": True, "sk_test_": False, "rk_test_": False}


def verify(body: bytes, header: str | None, secrets: Sequence[str]) -> None:
    """Pass if one of the secrets signed these bytes, and lately. Signatures live by machine time.

    Raises:
        SignatureError: none did, or not within 300 s of now, on either side, or the header is too long.
    """
    if header is None:
        raise SignatureError("the Stripe-Signature header is missing")
    if len(header) > SIGNATURE_BYTES:
        raise SignatureError(f"the signature may have {SIGNATURE_BYTES} bytes at most")
    if not any(_is_signed(body, header, secret) for secret in secrets):
        raise SignatureError("the signature does not hold")


def _is_signed(body: bytes, header: str | None, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, header, secret, tolerance=TOLERANCE_SECONDS)
        # The SDK bounds the past alone: it takes a signature from next month.
        return _signed_at(header or "") <= time.time() + TOLERANCE_SECONDS
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        # The SDK lets out what comparing or decoding raises: a letter beyond ASCII in the header, for one.
        return False


def _signed_at(header: str) -> int:
    """Return the time that the SDK has checked: the first `t=`."""
    return next(int(part[2:]) for part in header.split(",") if part.startswith("t="))


class StripeReader:
    """Fetches the objects of one account, each within so many seconds."""

    def __init__(self, api_key: str, api_base: str, http: stripe.HTTPXClient, seconds: float) -> None:
        self._seconds = seconds
        self._key_prefix = api_key[:8]
        self._client = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base.rstrip("/")},
            max_network_retries=0,
            http_client=http,
        )

    @property
    def livemode(self) -> bool | None:
        """Which side of the account the key opens; None if it does not tell."""
        return LIVEMODES.get(self._key_prefix)

    async def fetch(self, object_type: str, object_id: str) -> bytes | None:
        """Return an object's bytes with its nested lists read to their end, None if there is none.

        Raises:
            FetchError: not now: no answer in time, or one that says nothing of the object.
            RefusedError: Stripe does not take the question.
        """
        if not object_id.strip("."):
            # A path with a dot segment leads to another resource, and no encoding changes that.
            raise RefusedError("the object's id is no id")
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._get(PATHS[object_type].format(quote(object_id, safe="")))
                return await self._completed(object_type, object_id, body)
        except TimeoutError:
            raise FetchError(f"no answer in {self._seconds:g} s") from None
        except stripe.StripeError as error:
            if error.http_status == HTTPStatus.NOT_FOUND:
                return None
            raise _explained(error) from None

    async def _get(self, path: str) -> bytes:
        answer = await self._client.raw_request_async("get", path)
        text: str = answer.body
        return text.encode()

    async def _completed(self, object_type: str, object_id: str, body: bytes) -> bytes:
        """Return the body with its nested list in full; it comes with ten entries at most."""
        if object_type not in LISTS:
            return body
        name, path = LISTS[object_type]
        content: dict[str, Any] = _decode(body)
        nested = content.get(name)
        if not isinstance(nested, dict) or nested.get("has_more") is False:
            return body
        nested["data"] = [one async for one in self._list(path.format(quote(object_id, safe="")))]
        nested["has_more"] = False
        return msgspec.json.encode(content)

    async def _list(self, path: str) -> AsyncIterator[dict[str, Any]]:
        after = ""
        while True:
            page: dict[str, Any] = _decode(await self._get(f"{path}&limit={PAGE}{after}"))
            for one in page["data"]:
                yield one
            if not page["has_more"] or not page["data"]:
                return
            after = f"&starting_after={quote(page['data'][-1]['id'], safe='')}"


def _explained(error: stripe.StripeError) -> FetchError | RefusedError:
    """Return whether Stripe's error says nothing of the object, or that the question is wrong."""
    status = error.http_status
    is_passing = status is None or status in PASSING or not 400 <= status < 500  # noqa: PLR2004 -- client errors
    kind = FetchError if is_passing else RefusedError
    return kind(f"Stripe answered {status or type(error).__name__}")


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise FetchError("Stripe's answer is not JSON") from None


@asynccontextmanager
async def open_readers(
    api_keys: dict[str, str], api_base: str, *, seconds: float = FETCH_SECONDS
) -> AsyncIterator[dict[str, StripeReader]]:
    """Open a reader for each account that has a key; they share their connections."""
    # The SDK's telemetry would write into the home of the process; its file system may be read-only.
    stripe.enable_telemetry = False
    http = stripe.HTTPXClient(timeout=seconds)
    try:
        yield {name: StripeReader(key, api_base, http, seconds) for name, key in api_keys.items()}
    finally:
        await http.close_async()  # type: ignore[no-untyped-call]  # the SDK does not say
