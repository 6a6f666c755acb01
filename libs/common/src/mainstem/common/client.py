"""Calls to one outside service: a time limit, bounded retries with jitter, and a circuit breaker.

pyreqwest makes them, and nobody who calls sees it: it takes an eighth of what httpx takes (ADR 0008).
Retries are for requests that may be repeated; what must not be, and what Postgres retries anyway
(deliveries, fetches), goes with `attempts=1`.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pyreqwest.client as pyreqwest
import stamina
from opentelemetry.trace import Span, SpanKind, StatusCode
from pyreqwest.exceptions import PoolTimeoutError, PyreqwestError, RequestError

from mainstem.common import telemetry
from mainstem.common.breaker import Breaker

TIMEOUT_SECONDS = 5.0
IDLE_SECONDS = 3.0
"""How long a connection is kept for the next request: servers close theirs after five seconds or more."""

NO_CONNECTION = "client error (Connect)"
"""What stands among the causes of an error if there was no connection.

The class does not tell: pyreqwest calls every timeout one of connecting, and a connection lost under a
request an error of connecting too.
"""


class NoAnswerError(Exception):
    """No answer came, or not all of it; whether the service acted is unknown. Quotes nobody's data."""


class NotReachedError(NoAnswerError):
    """The service was not reached: it saw nothing of the request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered."""

    status: int
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is one of 200 to 299."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def json(self) -> Any:
        """Return the content as JSON says it.

        Raises:
            ValueError: it is none.
        """
        return msgspec.json.decode(self.content)


class Client:
    """An HTTP client for one outside service."""

    def __init__(self, http: pyreqwest.Client, breaker: Breaker, base_url: str = "") -> None:
        self._http = http
        self._breaker = breaker
        self._base_url = base_url

    async def request(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        attempts: int = 1,
    ) -> Answer:
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
            on=(_Again, NoAnswerError), attempts=attempts, wait_initial=0.1, wait_max=2.0
        ):
            with attempt:
                answer = await self._once(method, url, form, headers)
                if attempt.num < attempts and _is_passing(answer):
                    raise _Again
        return answer

    async def _once(
        self, method: str, url: str, form: Mapping[str, str] | None, headers: Mapping[str, str] | None
    ) -> Answer:
        self._breaker.check()
        # The base may have a path of its own, which a URL's rules for joining would drop.
        target = f"{self._base_url}{url}"
        with telemetry.span(method, kind=SpanKind.CLIENT, **_attributes(method, target)) as span:
            try:
                answer = await self._exchange(method, target, form, {**(headers or {}), **_trace()})
            except PyreqwestError as error:
                self._breaker.record(ok=False)
                # Its text may quote what was sent.
                kind = NotReachedError if _is_before_sending(error) else NoAnswerError
                raise kind(type(error).__name__) from None
            is_ok = answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
            self._breaker.record(ok=is_ok)
            _note(span, answer.status)
        return answer

    async def _exchange(
        self, method: str, url: str, form: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> Answer:
        builder = self._http.request(method, url).headers(headers)
        response = await (builder if form is None else builder.form(form)).build().send()
        return Answer(response.status, bytes(await response.bytes()))


class _Again(Exception):  # noqa: N818 -- not an error: it asks for the next attempt
    """The answer may be another one soon."""


def _is_passing(answer: Answer) -> bool:
    is_server_error = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return is_server_error or answer.status == HTTPStatus.TOO_MANY_REQUESTS


def _is_before_sending(error: PyreqwestError) -> bool:
    """Whether it is sure that the service saw nothing of the request; in doubt it is not."""
    causes = (error.details or {}).get("causes") if isinstance(error, RequestError) else None
    is_unconnected = any(cause["message"] == NO_CONNECTION for cause in causes or ())
    return is_unconnected or isinstance(error, PoolTimeoutError)


def _attributes(method: str, url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    # Without the query, which may name a person or hold a secret.
    told = {"http.request.method": method, "url.full": f"{parts.scheme}://{parts.netloc}{parts.path}"}
    return {**told, "server.address": parts.hostname or ""}


def _trace() -> dict[str, str]:
    current = telemetry.traceparent()
    return {} if current is None else {telemetry.TRACEPARENT: current}


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
    seconds = timedelta(seconds=timeout_seconds)
    builder = (
        pyreqwest.ClientBuilder()
        .timeout(seconds)
        .connect_timeout(seconds)
        .pool_idle_timeout(timedelta(seconds=IDLE_SECONDS))
        .max_connections(connections)
        .user_agent("mainstem")
        .follow_redirects(enable=False)
    )
    async with builder.build() as http:
        yield Client(http, breaker or Breaker(name), base_url)
