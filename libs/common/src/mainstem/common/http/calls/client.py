"""HTTP client for one upstream: a time limit, bounded retries with jitter, and a circuit breaker.

Retries are for requests that may be repeated; what must not be, and what Postgres retries anyway
(deliveries, fetches), goes with `attempts=1`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import stamina
from opentelemetry.trace import Span, SpanKind, StatusCode

from mainstem.common.http.calls.breaker import Breaker
from mainstem.common.http.calls.upstream import NoAnswerError, UpstreamResponse
from mainstem.common.telemetry import spans

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from mainstem.common.http.calls.transport import HttpTransport

TIMEOUT_SECONDS = 5.0


class Client:
    """An HTTP client for one outside service."""

    def __init__(self, breaker: Breaker, base_url: str, timeout_seconds: float, connections: int) -> None:
        self._breaker = breaker
        self._base_url = base_url
        self._timeout_seconds = timeout_seconds
        self._connections = connections
        self._opened: HttpTransport | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        attempts: int = 1,
    ) -> UpstreamResponse:
        """Send a request, up to `attempts` times, and return the last answer, whatever its status.

        A request is repeated after no answer, a 429 or a 5xx. One whose caller is cancelled may go on until
        its time limit.

        Raises:
            CircuitOpenError: the service is not asked now.
            NotReachedError: the request never left.
            NoAnswerError: no answer came; whether the service acted is unknown.
        """
        if attempts == 1:
            return await self._once(method, url, form, headers)
        async for attempt in stamina.retry_context(
            on=(_RetryableResponse, NoAnswerError), attempts=attempts, wait_initial=0.1, wait_max=2.0
        ):
            with attempt:
                answer = await self._once(method, url, form, headers)
                if attempt.num < attempts and _is_retryable(answer):
                    raise _RetryableResponse
        return answer

    async def _once(
        self, method: str, url: str, form: Mapping[str, str] | None, headers: Mapping[str, str] | None
    ) -> UpstreamResponse:
        self._breaker.check()
        # The base may have a path of its own, which a URL's rules for joining would drop.
        target = f"{self._base_url}{url}"
        with spans.span(method, kind=SpanKind.CLIENT, **_attributes(method, target)) as span:
            try:
                answer = await self._transport().send(method, target, form, {**(headers or {}), **_trace()})
            except NoAnswerError:
                self._breaker.record(ok=False)
                raise
            is_ok = answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
            self._breaker.record(ok=is_ok)
            _note(span, answer.status)
        return answer

    async def close(self) -> None:
        """Close what was opened."""
        if self._opened is not None:
            await self._opened.close()

    def _transport(self) -> HttpTransport:
        if self._opened is None:
            from mainstem.common.http.calls.transport import HttpTransport  # noqa: PLC0415 -- megabytes, which a door that calls nobody saves

            self._opened = HttpTransport(self._timeout_seconds, self._connections)
        return self._opened


class _RetryableResponse(Exception):  # noqa: N818 -- not an error: it asks for the next attempt
    """The response may differ soon."""


def _is_retryable(answer: UpstreamResponse) -> bool:
    is_server_error = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return is_server_error or answer.status == HTTPStatus.TOO_MANY_REQUESTS


def _attributes(method: str, url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    # Without the query, which may name a person or hold a secret.
    attributes = {"http.request.method": method, "url.full": f"{parts.scheme}://{parts.netloc}{parts.path}"}
    return {**attributes, "server.address": parts.hostname or ""}


def _trace() -> dict[str, str]:
    current = spans.traceparent()
    return {} if current is None else {spans.TRACEPARENT: current}


def _note(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= HTTPStatus.BAD_REQUEST:
        span.set_status(StatusCode.ERROR)


@asynccontextmanager
async def open_client(
    name: str,
    *,
    base_url: str = "",
    timeout_seconds: float = TIMEOUT_SECONDS,
    connections: int = 20,
    breaker: Breaker | None = None,
) -> AsyncIterator[Client]:
    """Open a client; `name` is what logs and errors call the service, `base_url` precedes every URL asked."""
    client = Client(breaker or Breaker(name), base_url, timeout_seconds, connections)
    try:
        yield client
    finally:
        await client.close()
