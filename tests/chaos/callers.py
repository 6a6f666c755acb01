"""Callers who never give up: the seller at Stripe and an application at the gateway.

Each request is repeated until it is answered for good, in a way that cannot do twice what it asks for.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httpx

from mainstem.sandbox.stack.folder import Stack

TIMEOUT_SECONDS = 30.0
PAUSE_SECONDS = 0.5
PASSING = (HTTPStatus.TOO_MANY_REQUESTS,)
IN_USE = (*PASSING, HTTPStatus.CONFLICT)
"""What passes at Stripe: 409 says that the same request is being answered."""

Json = dict[str, Any]


class RefusedError(Exception):
    """A request was refused for good; the text says which, and with what status."""


class Seller:
    """Calls Stripe's API; idempotency keys make it safe to ask again."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.repeats = 0

    async def post(self, path: str, form: Mapping[str, Any]) -> Json:
        """Create or change something.

        Raises:
            RefusedError: Stripe does not do it.
        """
        headers = {"Idempotency-Key": str(uuid4())}
        return await self._until_answered("POST", path, data=flat(form), headers=headers)

    async def delete(self, path: str) -> None:
        """End something; that it has ended already, perhaps by a request whose answer was lost, will do."""
        try:
            await self._until_answered("DELETE", path)
        except RefusedError as error:
            if error.args[1] not in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
                raise

    async def _until_answered(self, method: str, path: str, **content: Any) -> Json:
        while True:
            answer = await _try(self._http, method, path, **content)
            if answer is not None and answer.is_success:
                return dict(answer.json())
            if answer is not None and not _is_passing(answer.status_code, IN_USE):
                raise RefusedError(f"{method} {path}: {answer.status_code}", answer.status_code)
            self.repeats += 1
            await asyncio.sleep(PAUSE_SECONDS)


class Application:
    """Calls the contact API through the gateway; all it asks for may be done twice."""

    def __init__(self, http: httpx.AsyncClient, stack: Stack) -> None:
        self._http = http
        self._client = stack.clients["demo"]
        self._token = ""
        self.repeats = 0
        self.refusals: list[str] = []

    async def create(self, contact: Json) -> None:
        """Create a contact that brings its id."""
        await self._until_answered("POST", "/ctms", json=contact)

    async def change(self, contact_id: str, changes: Json) -> None:
        """Change a contact."""
        await self._until_answered("PATCH", f"/ctms/{contact_id}", json=changes)

    async def read(self, contact_id: str) -> Json:
        """Return a contact."""
        return await self._until_answered("GET", f"/ctms/{contact_id}")

    async def _until_answered(self, method: str, path: str, **content: Any) -> Json:
        while True:
            headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
            answer = await _try(self._http, method, path, headers=headers, **content)
            if answer is not None and answer.is_success:
                return dict(answer.json())
            if answer is not None and answer.status_code == HTTPStatus.UNAUTHORIZED:
                await self._authorise()
            elif answer is not None and not _is_passing(answer.status_code, PASSING):
                self.refusals.append(f"{method} {path}: {answer.status_code}")
                raise RefusedError(self.refusals[-1], answer.status_code)
            else:
                self.repeats += 1
                await asyncio.sleep(PAUSE_SECONDS)

    async def _authorise(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client.client_id,
            "client_secret": self._client.client_secret,
        }
        answer = await _try(self._http, "POST", "/token", data=form)
        if answer is not None and answer.is_success:
            self._token = answer.json()["access_token"]
        else:
            await asyncio.sleep(PAUSE_SECONDS)


async def _try(http: httpx.AsyncClient, method: str, path: str, **content: Any) -> httpx.Response | None:
    """Return the answer, None if there was none."""
    try:
        return await http.request(method, path, **content)
    except httpx.TransportError:
        return None


def _is_passing(status: int, passing: Sequence[int]) -> bool:
    return status in passing or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def flat(form: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return a form as Stripe takes it: `items[0][price]`."""
    fields: dict[str, str] = {}
    for name, value in form.items():
        full = f"{prefix}[{name}]" if prefix else name
        if isinstance(value, list):
            fields |= flat({str(index): one for index, one in enumerate(value)}, full)
        elif isinstance(value, Mapping):
            fields |= flat(value, full)
        else:
            fields[full] = str(value).lower() if isinstance(value, bool) else str(value)
    return fields


@asynccontextmanager
async def open_callers(stack: Stack) -> AsyncIterator[tuple[Seller, Application]]:
    """Open both, each with connections of its own."""
    key = {"Authorization": f"Bearer {stack.stripe.api_key}"}
    async with (
        httpx.AsyncClient(
            base_url=stack.stripe.api_base, headers=key, timeout=TIMEOUT_SECONDS, trust_env=False
        ) as stripe,
        httpx.AsyncClient(base_url=stack.gateway, timeout=TIMEOUT_SECONDS, trust_env=False) as gateway,
    ):
        yield Seller(stripe), Application(gateway, stack)
