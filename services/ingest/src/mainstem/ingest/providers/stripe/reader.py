"""Reader of Stripe's objects over its API (stop 3)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import copy
from functools import partial
from typing import Any, Self
from urllib.parse import quote

import msgspec
import stripe

from mainstem.common.errors import MainstemError
from mainstem.ingest.providers.protocol import FetchError, RefusedError
from mainstem.ingest.providers.stripe.answers import (
    MissingError,
    check_parts,
    explain_no_identity,
    explain_refusal,
    read_identity,
    read_object,
    read_page,
)
from mainstem.ingest.settings import key_livemode

PROVIDER = "stripe"
API_VERSION = "2026-10-28.endive"
"""The version whose shapes we ask for; payloads come in those of their endpoint."""
FETCH_SECONDS = 10.0
"""Longest duration of one object's fetch, all pages of its lists included."""
PAGE = 100

ACCOUNT = "/v1/account"
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
"""Nested list of each kind of object, and the path that returns the whole list."""


class StripeReader:
    """Fetches the objects of one account, each within so many seconds."""

    def __init__(self, api_key: str, api_base: str, http: stripe.HTTPXClient, seconds: float) -> None:
        self._seconds = seconds
        self._livemode = key_livemode(api_key)
        self._options: dict[str, str] = {}
        self._client = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base.rstrip("/")},
            max_network_retries=0,
            http_client=http,
        )

    @property
    def livemode(self) -> bool | None:
        """The side of the account that the key opens; None if the key does not show it."""
        return self._livemode

    def connected(self, account_id: str) -> Self:
        """Return a reader of a connected account: the same client, with Stripe's header for the account.

        Source: https://docs.stripe.com/connect/authentication
        """
        reader = copy(self)
        reader._options = {"stripe_account": account_id}  # noqa: SLF001 -- a copy of this very object
        return reader

    async def fetch(self, object_type: str, object_id: str) -> bytes | None:
        """Return an object's bytes with its nested lists read to their end.

        None is Stripe's own `resource_missing` for this id.

        Raises:
            FetchError: not now: no answer in time, or one that proves nothing of the object.
            RefusedError: Stripe does not take the question.
        """
        if not object_id.strip("."):
            # A path with a dot segment leads to another resource, and no encoding changes that.
            raise RefusedError("the object's id is no id")
        try:
            async with self._bounded():
                return await self._read(object_type, object_id)
        except MissingError:
            return None

    async def identity(self) -> str:
        """Return the id of the account that the key opens.

        Source: https://docs.stripe.com/api/accounts/retrieve

        Raises:
            FetchError: no account came within the reader's time.
            RestrictedError: it is a restricted key, which may not read it.
        """
        async with self._bounded():
            return read_identity(await self._get(ACCOUNT, explain_no_identity))

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """Bound the time inside.

        Raises:
            FetchError: it was not enough.
        """
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except TimeoutError:
            raise FetchError(f"no answer in {self._seconds:g} s") from None

    async def _get(self, path: str, explain: Callable[[int, str | None], MainstemError]) -> bytes:
        """Return the body of an answer with 2xx; `explain` says what to raise for any other.

        Raises:
            FetchError: no answer, or none that the SDK can read.
        """
        try:
            answer = await self._client.raw_request_async("get", path, **self._options)
        except stripe.StripeError as error:
            if error.http_status is None:
                raise FetchError(f"Stripe did not answer: {type(error).__name__}") from None
            raise explain(error.http_status, error.http_body) from None
        except (AttributeError, TypeError, ValueError):
            # The SDK takes the `error` of an answer for an object or a known word, without a look.
            raise FetchError("Stripe's answer cannot be read") from None
        text: str = answer.body
        return text.encode()

    async def _read(self, kind: str, object_id: str) -> bytes:
        """Return the object with its nested list in full; it comes with ten entries at most."""
        path = PATHS[kind].format(quote(object_id, safe=""))
        body = await self._get(path, partial(explain_refusal, kind=kind))
        content = read_object(kind, object_id, body)
        if kind not in LISTS or content.get("deleted") is True:
            return body
        name, path = LISTS[kind]
        nested = content.get(name)
        if not isinstance(nested, dict):
            return body
        if nested.get("has_more") is False:
            check_parts(kind, object_id, nested.get("data"))
            return body
        pages = self._list(kind, object_id, path.format(quote(object_id, safe="")))
        nested["data"] = [one async for one in pages]
        nested["has_more"] = False
        return msgspec.json.encode(content)

    async def _list(self, kind: str, object_id: str, path: str) -> AsyncIterator[dict[str, Any]]:
        after = ""
        while True:
            body = await self._get(f"{path}&limit={PAGE}{after}", explain_refusal)
            parts, has_more = read_page(kind, object_id, body)
            for one in parts:
                yield one
            if not has_more:
                return
            after = f"&starting_after={quote(parts[-1]['id'], safe='')}"


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
