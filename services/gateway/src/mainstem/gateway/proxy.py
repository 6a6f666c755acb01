"""Forwards a request to its upstream and streams the answer back, by pyreqwest."""

import asyncio
import string
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import quote

import structlog
from opentelemetry.trace import Span, SpanKind
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError, RequestTimeoutError
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from mainstem.common import telemetry
from mainstem.common.breaker import Breaker
from mainstem.common.errors import BadGatewayError, BadRequestError, GatewayTimeoutError, MainstemError
from mainstem.common.requests import REQUEST_ID
from mainstem.gateway.body import ClientGoneError, IncomingBody, IncompleteBodyError
from mainstem.gateway.routes import Route

CONNECT_TIMEOUT = timedelta(seconds=2)
POOL_IDLE_TIMEOUT = timedelta(seconds=3)
"""Less than the five seconds after which uvicorn closes an idle connection under the next request."""

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""What concerns one connection (RFC 9110, 7.6.1), besides what its `Connection` header names."""

KEPT_FROM_UPSTREAM = HOP_BY_HOP | {
    "authorization",
    "baggage",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "traceparent",
    "tracestate",
    "x-real-ip",
    REQUEST_ID,
}
"""The caller's credentials, and what the gateway says itself; so every `X-Forwarded-…` too."""

KEPT_FROM_CALLER = HOP_BY_HOP | {"date", "server", REQUEST_ID}
"""What the gateway's own server writes on every answer."""

QUERY_SAFE = string.punctuation.replace("#", "")
NO_BODY = frozenset({204, 304})

log = structlog.get_logger()
failures = telemetry.meter().create_counter(
    "mainstem_upstream_failures", description="Requests to which an upstream gave no whole answer."
)


class Proxy:
    """Forwards over pooled connections; an upstream that keeps giving no answer is left alone for a while."""

    def __init__(self, client: Client, upstreams: Mapping[str, str], breakers: Mapping[str, Breaker]) -> None:
        self._client = client
        self._upstreams = upstreams
        self._breakers = breakers

    async def forward(
        self, route: Route, identity: str | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Forward a request by its rule, and send the answer; a caller who leaves ends both.

        pyreqwest cannot take a request back while it waits for the answer to begin: the upstream then
        finishes, or the rule's timeout ends it.

        Raises:
            ContentTooLargeError, IncompleteBodyError: the caller sends too much, or too slowly.
            BadGatewayError, GatewayTimeoutError: the upstream is away, answers nonsense, or takes too long.
            CircuitOpenError: it did so again and again a moment ago.
        """
        body = IncomingBody(receive, limit_bytes=route.body_limit_bytes)
        body.check_declared(Headers(scope=scope).get("content-length"))
        try:
            await body.begin(timeout_seconds=route.timeout_seconds)
            # After the body has begun: a caller who sends none must not use up the one trial.
            (breaker := self._breakers[route.upstream]).check()
            base_url = self._upstreams[route.upstream]
            exchange = _Exchange(self._client, breaker, base_url, route, identity, scope, body)
            # The end is sent last of all: the server then reports the caller gone, as if it had left.
            if await _while_connected(exchange, body, send):
                await send({"type": "http.response.body"})
        except ClientGoneError:
            log.info("request.abandoned", upstream=route.upstream)


@asynccontextmanager
async def open_proxy(upstreams: Mapping[str, str], *, circuit_seconds: float) -> AsyncIterator[Proxy]:
    """Open a proxy to upstreams by name; connections are made when they are first used.

    Args:
        upstreams: their base URLs by name.
        circuit_seconds: how long one that keeps failing is left alone before each trial.
    """
    builder = (
        ClientBuilder()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .user_agent("mainstem-gateway")
        .http1_lower_case_headers()
        # What comes is what goes on: no environment's proxy, no redirect followed, no body unpacked.
        .no_proxy()
        .follow_redirects(enable=False)
        .referer(enable=False)
        .gzip(enable=False)
        .brotli(enable=False)
        .zstd(enable=False)
        .deflate(enable=False)
    )
    async with builder.build() as client:
        breakers = {name: Breaker(name, open_seconds=circuit_seconds) for name in upstreams}
        yield Proxy(client, upstreams, breakers)


@dataclass(frozen=True)
class _Exchange:
    """One request and its answer."""

    client: Client
    breaker: Breaker
    base_url: str
    route: Route
    identity: str | None
    scope: Scope
    body: IncomingBody

    async def run(self, send: Send) -> bool:
        """Send the request on, and its answer back but for the end. Return whether all of it came."""
        method = self.scope["method"]
        attributes = {
            "http.request.method": method,
            "url.template": self.route.path,
            "server.address": self.route.upstream,
        }
        with telemetry.span(f"{method} {self.route.path}", kind=SpanKind.CLIENT, **attributes) as span:
            return await _Answer(self.route, self.breaker, span).pass_on(self._request(), self.body, send)

    def _request(self) -> StreamRequest:
        query = quote(self.scope["query_string"], safe=QUERY_SAFE)
        url = f"{self.base_url}{self.scope['raw_path'].decode('ascii')}{'?' if query else ''}{query}"
        timeout = timedelta(seconds=self.route.timeout_seconds)
        try:
            builder = self.client.request(self.scope["method"], url).headers([*self._headers()])
            whole = self.body.whole
            builder = builder.body_stream(self.body.parts()) if whole is None else builder.body_bytes(whole)
            # Without a limit of zero, an answer waits until 64 KiB of it have come.
            return builder.timeout(timeout).streamed_read_buffer_limit(0).build_streamed()
        except (PyreqwestError, ValueError):
            raise BadRequestError("a header of the request cannot be forwarded") from None

    def _headers(self) -> Iterator[tuple[str, str]]:
        headers = Headers(scope=self.scope)
        dropped = KEPT_FROM_UPSTREAM | _named_by_connection(headers.getlist("connection"))
        if "transfer-encoding" in headers:
            dropped |= {"content-length"}
        for name, value in headers.raw:
            text = name.decode("ascii").lower()
            if text not in dropped and not text.startswith("x-forwarded-"):
                # pyreqwest writes text as UTF-8, so that these bytes arrive as they came.
                yield text, value.decode()
        yield from self._own_headers(headers.get("host", ""))

    def _own_headers(self, host: str) -> Iterator[tuple[str, str]]:
        client = self.scope.get("client")
        yield "x-forwarded-for", client[0] if client else "unknown"
        yield "x-forwarded-proto", self.scope["scheme"]
        yield "x-forwarded-host", host
        # Bound by `requests.Requests` for every request.
        yield REQUEST_ID, structlog.contextvars.get_contextvars()["request_id"]
        if traceparent := telemetry.traceparent():
            yield "traceparent", traceparent
        if self.identity is not None:
            yield "authorization", f"Bearer {self.identity}"


class _Answer:
    """An upstream's answer on its way to the caller."""

    def __init__(self, route: Route, breaker: Breaker, span: Span) -> None:
        self._route = route
        self._breaker = breaker
        self._span = span
        self._has_begun = False

    async def pass_on(self, request: StreamRequest, body: IncomingBody, send: Send) -> bool:
        """Send the request, then stream its answer. Return whether all of it came."""
        try:
            async with request as response:
                await self._stream(response, send)
        except (PyreqwestError, ValueError, ClientGoneError, MainstemError) as error:
            told = _explain(body.error or error, body)
            if isinstance(told, BadGatewayError | GatewayTimeoutError):
                self._count_failure(error)
            if not self._has_begun:
                raise told from error
            # Our server closes the connection of an answer without its end: half must not look whole.
            return False
        return True

    def _count_failure(self, error: Exception) -> None:
        kind, upstream = type(error).__name__, self._route.upstream
        if not self._has_begun:
            self._breaker.record(ok=False)
        self._span.set_attribute("error.type", kind)
        telemetry.mark_failed()
        failures.add(1, {"upstream": upstream, "error": kind})
        log.warning("upstream.failed", upstream=upstream, error=kind, has_begun=self._has_begun)

    async def _stream(self, response: Response, send: Send) -> None:
        headers = _headers_of(response)
        self._span.set_attribute("http.response.status_code", response.status)
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            telemetry.mark_failed()
        self._has_begun = True
        # Whatever its status: who answers is not away, and may tell its callers itself what is wrong.
        self._breaker.record(ok=True)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        while (chunk := await response.body_reader.read_chunk()) is not None:
            await send({"type": "http.response.body", "body": chunk.to_bytes(), "more_body": True})


def _headers_of(response: Response) -> Sequence[tuple[bytes, bytes]]:
    items = [*response.headers.items()]  # a ValueError where one is not ASCII
    dropped = KEPT_FROM_CALLER | _named_by_connection(response.get_header_all("connection"))
    if response.status in NO_BODY:
        dropped |= {"content-length"}
    return [(name.encode(), value.encode()) for name, value in items if name not in dropped]


def _named_by_connection(values: Sequence[str]) -> frozenset[str]:
    return frozenset(name.strip().lower() for value in values for name in value.split(","))


def _explain(error: Exception, body: IncomingBody) -> Exception:
    """Return what the caller is told; how the upstream failed is for the log."""
    if isinstance(error, MainstemError | ClientGoneError):
        return error
    if isinstance(error, RequestTimeoutError):
        if not body.has_ended:
            return IncompleteBodyError()
        return GatewayTimeoutError("the service behind the gateway did not answer in time")
    return BadGatewayError("the service behind the gateway gave no usable answer")


async def _while_connected(exchange: _Exchange, body: IncomingBody, send: Send) -> bool:
    """Run the exchange and return what it does; it is cancelled when the caller leaves."""
    running = asyncio.create_task(exchange.run(send))
    watching = asyncio.create_task(body.until_gone())
    try:
        await asyncio.wait((running, watching), return_when=asyncio.FIRST_COMPLETED)
        has_left = not running.done()
    finally:
        running.cancel()
        watching.cancel()
        await asyncio.gather(running, watching, return_exceptions=True)
    if has_left:
        raise ClientGoneError
    return running.result()
