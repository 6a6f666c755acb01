"""Calls to one outside service: a time limit, bounded retries with jitter, and a circuit breaker.

Retries are for requests that may be repeated; what must not be, and what Postgres retries anyway
(deliveries, fetches), goes with `attempts=1`.
"""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import httpx
import stamina
import structlog

from mainstem.common import telemetry
from mainstem.common.errors import UnavailableError

TIMEOUT_SECONDS = 5.0
FAILURES_TO_OPEN = 5
OPEN_SECONDS = 10.0

log = structlog.get_logger()
open_circuits = telemetry.meter().create_up_down_counter(
    "mainstem_circuits_open", description="Services that are not asked now, since they kept failing."
)


class CircuitOpenError(UnavailableError):
    """The service failed again and again a moment ago; it is not asked now."""


class Breaker:
    """Stops asking a service that fails: open after some failures in a row, one trial after a while."""

    def __init__(
        self, name: str, *, failures_to_open: int = FAILURES_TO_OPEN, open_seconds: float = OPEN_SECONDS
    ) -> None:
        self._name = name
        self._failures_to_open = failures_to_open
        self._open_seconds = open_seconds
        self._failures = 0
        self._next_trial = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the service failed that often in a row."""
        return self._failures >= self._failures_to_open

    def check(self) -> None:
        """Pass if the service may be asked; one caller at a time may when the circuit is open.

        Raises:
            CircuitOpenError: it may not; `Retry-After` says how long it is until the next trial.
        """
        if not self.is_open:
            return
        now = time.monotonic()
        if now < self._next_trial:
            seconds = max(1, math.ceil(self._next_trial - now))
            raise CircuitOpenError(f"{self._name} is not answering", headers={"Retry-After": str(seconds)})
        self._next_trial = now + self._open_seconds

    def record(self, *, ok: bool) -> None:
        """Count an answer: for `Client` any but a 5xx is ok."""
        was_open = self.is_open
        self._failures = 0 if ok else self._failures + 1
        if self.is_open == was_open:
            return
        open_circuits.add(-1 if was_open else 1, {"outside": self._name})
        if was_open:
            log.info("circuit.closed", outside=self._name)
        else:
            # Set here alone: an answer that was long on its way must not put the next trial off.
            self._next_trial = time.monotonic() + self._open_seconds
            log.warning("circuit.opened", outside=self._name, failures=self._failures)


class Client:
    """An HTTP client for one outside service."""

    def __init__(self, http: httpx.AsyncClient, breaker: Breaker) -> None:
        self._http = http
        self._breaker = breaker

    async def request(self, method: str, url: str, *, attempts: int = 1, **options: Any) -> httpx.Response:
        """Send a request, up to `attempts` times, and return the last answer, whatever its status.

        Options are httpx's. A request is repeated after a transport error, a 429 or a 5xx.

        Raises:
            CircuitOpenError: the service is not asked now.
            httpx.TransportError: no answer came; whether the service acted is unknown.
        """
        async for attempt in stamina.retry_context(
            on=(_Again, httpx.TransportError), attempts=attempts, wait_initial=0.1, wait_max=2.0
        ):
            with attempt:
                self._breaker.check()
                response = await self._once(method, url, **options)
                if attempt.num < attempts and _is_passing(response):
                    raise _Again
        return response

    async def _once(self, method: str, url: str, **options: Any) -> httpx.Response:
        try:
            response = await self._http.request(method, url, **options)
        except httpx.TransportError:
            self._breaker.record(ok=False)
            raise
        self._breaker.record(ok=response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR)
        return response


class _Again(Exception):  # noqa: N818 -- not an error: it asks for the next attempt
    """The answer may be another one soon."""


def _is_passing(response: httpx.Response) -> bool:
    is_server_error = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    return is_server_error or response.status_code == HTTPStatus.TOO_MANY_REQUESTS


@asynccontextmanager
async def open_client(
    name: str, *, base_url: str = "", timeout_seconds: float = TIMEOUT_SECONDS, connections: int = 20
) -> AsyncIterator[Client]:
    """Open a client; `name` is what logs and errors call the service."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(base_url=base_url, timeout=timeout_seconds, limits=limits) as http:
        yield Client(http, Breaker(name))
