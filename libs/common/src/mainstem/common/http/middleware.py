"""What is told of each request: an id in logs and answer, a log line, a span, how long it took.

OpenTelemetry's own middleware tells the same, and takes more CPU for it than most requests need.
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
_answers: set["Answer"] = set()


def _count_active(_options: CallbackOptions) -> Iterable[Observation]:
    return [Observation(len(_answers))]


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


class Answer:
    """One request's answer on its way: given the request's id, and told of in the log as it begins."""

    def __init__(self, scope: Scope, send: Send, request_id: str, *, is_told: bool) -> None:
        self.status: int | None = None
        self._scope = scope
        self._send = send
        self._request_id = request_id
        self._is_told = is_told
        self._started_at = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the request has taken so far."""
        return time.monotonic() - self._started_at

    @property
    def route(self) -> str | None:
        """The path of the route that was found, with its parameters' names; None if there is none."""
        return getattr(self._scope.get("route"), "path", None)

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = (_REQUEST_ID_FIELD, self._request_id.encode())
            others = (field for field in message.get("headers", ()) if field[0] != _REQUEST_ID_FIELD)
            message["headers"] = [*others, own]
            if self._is_told:
                self._log()
        await self._send(message)

    def measure(self) -> None:
        """Count the request, now that it has ended."""
        told = {
            "http.request.method": self._scope["method"],
            "http.route": self.route or "",
            "http.response.status_code": self.status or 0,
        }
        durations.record(self.seconds, told)

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


class Requests:
    """Gives each request an id, in logs and answer: the caller's `X-Request-Id`, else a new one.

    What nobody foresaw becomes a 500 here. Of paths that are `untold` nothing else is told.
    """

    def __init__(self, app: ASGIApp, untold: Sequence[str] = ()) -> None:
        self._app = app
        self._untold = frozenset(untold)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        is_told = scope["path"] not in self._untold
        answer = Answer(scope, send, request_id, is_told=is_told)
        # Never unbound: each request runs in a context of its own (`http.guard`).
        structlog.contextvars.bind_contextvars(request_id=request_id)
        if is_told:
            await self._tell(headers.get(spans.TRACEPARENT), scope, receive, answer)
        else:
            await self._serve(scope, receive, answer)

    async def _tell(self, traceparent: str | None, scope: Scope, receive: Receive, answer: Answer) -> None:
        """Serve a request in a span, and count it.

        Path and query are left out: either may name a person, or hold a secret. The route says enough.
        """
        method = scope["method"]
        about = {"http.request.method": method, "url.scheme": scope["scheme"]}
        _answers.add(answer)
        try:
            with spans.span(method, parent=traceparent, kind=SpanKind.SERVER, **about) as span:
                try:
                    await self._serve(scope, receive, answer)
                finally:
                    answer.describe(span)
        finally:
            _answers.discard(answer)
            answer.measure()

    async def _serve(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        try:
            await self._app(scope, receive, answer.send)
        except Exception as error:
            # Answered here and not further out, so that answer and log bear the id, and no span the text.
            log.exception("request.failed", error=type(error).__name__)
            if answer.status is not None:
                raise
            await problem_response(MainstemError())(scope, receive, answer.send)


def _request_id(headers: Headers) -> str:
    given = headers.get(REQUEST_ID, "")
    return given if _USABLE.fullmatch(given) else str(uuid7())
