"""Request middleware: request id, log line, span and duration of each request.

OpenTelemetry's own middleware records the same, and takes more CPU for it than most requests need.
"""

import re
import time
from collections.abc import Iterable, Sequence
from http import HTTPStatus

import structlog
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import Span, SpanKind, StatusCode
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from mainstem.common.errors import MainstemError
from mainstem.common.http.problems import problem_response
from mainstem.common.telemetry import metrics, spans

REQUEST_ID = "x-request-id"
_REQUEST_ID_FIELD = REQUEST_ID.encode()
_USABLE = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
"""Ids of other systems; no address or sentence, since ids are logged."""
DURATION_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

log = structlog.get_logger()
_active: set["ServedRequest"] = set()


def _count_active(_options: CallbackOptions) -> Iterable[Observation]:
    return [Observation(len(_active))]


# The names are OpenTelemetry's: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
durations = metrics.meter().create_histogram(
    "http.server.request.duration",
    unit="s",
    description="How long requests took, until the end of their answer.",
    explicit_bucket_boundaries_advisory=DURATION_SECONDS,
)
metrics.meter().create_observable_up_down_counter(
    "http.server.active_requests", [_count_active], description="Requests whose answer has not ended."
)


class ServedRequest:
    """A request under way: its response gets the request id, and is logged as it begins."""

    def __init__(self, scope: Scope, send: Send, request_id: str, *, is_observed: bool) -> None:
        self.status: int | None = None
        self._scope = scope
        self._send = send
        self._request_id = request_id
        self._is_observed = is_observed
        self._started_at = time.monotonic()

    @property
    def seconds(self) -> float:
        """The time since the request began."""
        return time.monotonic() - self._started_at

    @property
    def route(self) -> str | None:
        """The path of the route that was found, with its parameters' names; None if there is none."""
        return getattr(self._scope.get("route"), "path", None)

    async def send(self, message: Message) -> None:
        """Send a part of the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = (_REQUEST_ID_FIELD, self._request_id.encode())
            others = (field for field in message.get("headers", ()) if field[0] != _REQUEST_ID_FIELD)
            message["headers"] = [*others, own]
            if self._is_observed:
                self._log()
        await self._send(message)

    def measure(self) -> None:
        """Count the request, now that it has ended."""
        attributes = {
            "http.request.method": self._scope["method"],
            "http.route": self.route or "",
            "http.response.status_code": self.status or 0,
        }
        durations.record(self.seconds, attributes)

    def describe(self, span: Span) -> None:
        """Name the request's span by its route: by its path each contact would have a name of its own."""
        if not span.is_recording():
            return
        if self.route is not None:
            span.update_name(f"{self._scope['method']} {self.route}")
            span.set_attribute("http.route", self.route)
        if self.status is not None:
            span.set_attribute("http.response.status_code", self.status)
            if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                span.set_status(StatusCode.ERROR)

    def _log(self) -> None:
        log.info(
            "request.served",
            method=self._scope["method"],
            route=self.route,
            status=self.status,
            duration_ms=round(self.seconds * 1_000, 1),
        )


class RequestMiddleware:
    """ASGI middleware that gives each request an id: the caller's `X-Request-Id`, else a new one.

    An unhandled error becomes a 500. Requests to `excluded_paths` get no log line, span or metric.
    """

    def __init__(self, app: ASGIApp, excluded_paths: Sequence[str] = ()) -> None:
        self._app = app
        self._excluded_paths = frozenset(excluded_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        is_observed = scope["path"] not in self._excluded_paths
        served = ServedRequest(scope, send, request_id, is_observed=is_observed)
        # Never unbound: each request runs in a context of its own (`http.guard`).
        structlog.contextvars.bind_contextvars(request_id=request_id)
        if is_observed:
            await self._observe(headers.get(spans.TRACEPARENT), scope, receive, served)
        else:
            await self._serve(scope, receive, served)

    async def _observe(
        self, traceparent: str | None, scope: Scope, receive: Receive, served: ServedRequest
    ) -> None:
        """Serve a request in a span, and count it.

        Path and query are left out: either may name a person, or hold a secret. The route says enough.
        """
        method = scope["method"]
        about = {"http.request.method": method, "url.scheme": scope["scheme"]}
        _active.add(served)
        try:
            with spans.span(method, parent=traceparent, kind=SpanKind.SERVER, **about) as span:
                try:
                    await self._serve(scope, receive, served)
                finally:
                    served.describe(span)
        finally:
            _active.discard(served)
            served.measure()

    async def _serve(self, scope: Scope, receive: Receive, served: ServedRequest) -> None:
        try:
            await self._app(scope, receive, served.send)
        except Exception as error:
            # Answered here and not further out, so that answer and log bear the id, and no span the text.
            log.exception("request.failed", error=type(error).__name__)
            if served.status is not None:
                raise
            await problem_response(MainstemError())(scope, receive, served.send)


def _request_id(headers: Headers) -> str:
    given = headers.get(REQUEST_ID, "")
    return given if _USABLE.fullmatch(given) else str(uuid7())
