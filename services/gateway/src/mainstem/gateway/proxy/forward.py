"""Forwarding by rule: a request goes to its upstream, and the answer back to its caller."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from opentelemetry.trace import Span, SpanKind
from starlette.types import Receive, Scope, Send

from mainstem.common.errors import BadGatewayError, GatewayTimeoutError, MainstemError
from mainstem.common.http.calls.breaker import Breaker
from mainstem.common.http.connections.limits import owner_of
from mainstem.common.http.requests.budget import Budget, Holding
from mainstem.common.telemetry import metrics, spans
from mainstem.gateway.proxy import headers
from mainstem.gateway.proxy.answer import NO_BODY, ConnectionEndedError, IncomingAnswer, UpstreamError
from mainstem.gateway.proxy.body import ClientGoneError, IncomingBody
from mainstem.gateway.proxy.client import (
    ConnectTimeoutError,
    UpstreamConnection,
    UpstreamPool,
    UpstreamTimeoutError,
)
from mainstem.gateway.proxy.watch import Clock, Watch
from mainstem.gateway.routes.table import Route

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that may be sent again when a pooled connection turns out to be closed."""

log = structlog.get_logger()
failures = metrics.meter().create_counter(
    "mainstem_upstream_failures", description="Requests to which an upstream gave no whole answer."
)


@dataclass(frozen=True)
class Upstream:
    """A service behind the gateway: its connections, and its circuit breaker."""

    pool: UpstreamPool
    breaker: Breaker


class Proxy:
    """Forwards over pooled connections; the circuit breaker of an upstream that gives no answers opens."""

    def __init__(self, upstreams: Mapping[str, Upstream], budget: Budget) -> None:
        self._upstreams = upstreams
        self._budget = budget

    async def forward(
        self, route: Route, identity: str | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Forward a request by its rule, and send the answer; a caller who leaves ends both.

        Raises:
            BadRequestError, ContentTooLargeError, IncompleteBodyError: the request is wrong or incomplete.
            BadGatewayError, GatewayTimeoutError: the upstream is away, answers nonsense, or takes too long.
            CircuitOpenError: it did so again and again a moment ago.
            PoolFullError: too many requests wait for it.
        """
        client = scope.get("client")
        holding = Holding(self._budget, owner_of(client[0]) if client else "")
        length = headers.read_length(scope["headers"])
        body = IncomingBody(receive, length, holding, limit_bytes=route.body_limit_bytes)
        exchange = _Exchange(self._upstreams[route.upstream], route, identity, scope, body)
        try:
            async with Watch(body, send, body_seconds=route.timeout_seconds) as watch:
                await body.begin()
                await exchange.run(watch)
        except ClientGoneError:
            log.info("request.abandoned", upstream=route.upstream)
        except MainstemError:
            # The server closes the connection of an answer without its end: half must not look whole.
            if not exchange.has_begun:
                raise
        finally:
            holding.release()


@asynccontextmanager
async def open_proxy(base_urls: Mapping[str, str], *, circuit_seconds: float) -> AsyncIterator[Proxy]:
    """Open a proxy to upstreams by name; connections are made when they are first used.

    Args:
        base_urls: of the upstreams, by name.
        circuit_seconds: seconds from the opening of a circuit breaker to each trial.
    """
    upstreams = {
        name: Upstream(UpstreamPool(url), Breaker(name, open_seconds=circuit_seconds))
        for name, url in base_urls.items()
    }
    try:
        yield Proxy(upstreams, Budget())
    finally:
        for upstream in upstreams.values():
            upstream.pool.close()


class _StaleConnectionError(ConnectionEndedError):
    """The upstream closed a pooled connection, and nothing tells that it read the request."""


class _Exchange:
    """One request on its way to the upstream, and its answer on its way back."""

    def __init__(
        self, upstream: Upstream, route: Route, identity: str | None, scope: Scope, body: IncomingBody
    ) -> None:
        self.has_begun = False
        """Whether the caller has been sent the beginning of the answer."""
        self._pool = upstream.pool
        self._breaker = upstream.breaker
        self._route = route
        self._identity = identity
        self._scope = scope
        self._body = body
        self._method: str = scope["method"]
        self._seconds = route.timeout_seconds
        self._has_queued = False
        self._is_judged = False

    async def run(self, watch: Watch) -> None:
        """Send the request, and pass its answer on."""
        attributes: dict[str, Any] = {
            "http.request.method": self._method,
            "url.template": self._route.path,
            "server.address": self._route.upstream,
        }
        name = f"{self._method} {self._route.path}"
        with spans.span(name, kind=SpanKind.CLIENT, **attributes) as span:
            if self._breaker.is_open or self._pool.is_crowded:
                await self._body.gather()
            head = headers.build_head(self._method, self._target(), self._fields())
            is_trial = self._breaker.is_open
            # After the body has come: a caller who sends none, or half, must not use up the one trial.
            self._breaker.check()
            try:
                await self._try(head, watch, span)
            except UpstreamError as error:
                self._note_failure(error, span)
                raise _explain(error) from error
            finally:
                if is_trial and not self._is_judged:
                    self._breaker.give_trial_back()

    def _target(self) -> bytes:
        query: bytes = self._scope["query_string"]
        path: bytes = self._scope["raw_path"]
        return b"%b?%b" % (path, query) if query else path

    def _fields(self) -> list[headers.Field]:
        given = self._scope["headers"]
        client = self._scope.get("client")
        fields = [
            (b"host", self._pool.host),
            *headers.to_upstream(given),
            (b"x-forwarded-for", client[0].encode("latin-1") if client else b"unknown"),
            (b"x-forwarded-proto", self._scope["scheme"].encode()),
            (b"x-forwarded-host", headers.read_host(given)),
            # Bound by `requests.Requests` for every request.
            (b"x-request-id", structlog.contextvars.get_contextvars()["request_id"].encode()),
            *headers.frame(self._method, self._body.whole, self._body.declared),
        ]
        if traceparent := spans.traceparent():
            fields.append((b"traceparent", traceparent.encode()))
        if self._identity is not None:
            fields.append((b"authorization", f"Bearer {self._identity}".encode()))
        return fields

    async def _try(self, head: bytes, watch: Watch, span: Span) -> None:
        if self._body.whole is None:
            with self._pool.stream():
                await self._attempt(head, watch, span)
            return
        try:
            await self._attempt(head, watch, span)
        except _StaleConnectionError:
            await self._attempt(head, watch, span, is_fresh=True)

    async def _attempt(self, head: bytes, watch: Watch, span: Span, *, is_fresh: bool = False) -> None:
        whole = self._body.whole
        connection = await self._take(is_fresh=is_fresh)
        answer = connection.begin(self._method, head + (whole or b""), is_whole=whole is not None)
        clock = Clock(self._seconds, lambda: answer.fail(UpstreamTimeoutError()))
        clock.resume()
        try:
            if whole is not None:
                await self._pass_on(connection, answer, clock, watch, span)
            else:
                async with self._uploading(connection, answer, clock):
                    await self._pass_on(connection, answer, clock, watch, span)
        except ConnectionEndedError:
            is_stale = connection.is_pooled and not answer.has_begun and whole is not None
            if is_stale and self._method in SAFE:
                raise _StaleConnectionError from None
            raise
        finally:
            clock.pause()
            connection.finish(answer)

    async def _take(self, *, is_fresh: bool) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        self._has_queued = self._pool.is_full
        connection = await self._pool.take(self._seconds, is_fresh=is_fresh)
        self._seconds -= loop.time() - started_at
        return connection

    @asynccontextmanager
    async def _uploading(
        self, connection: UpstreamConnection, answer: IncomingAnswer, clock: Clock
    ) -> AsyncIterator[None]:
        """Send the body on as it arrives, until it is whole or the answer is."""
        uploading = asyncio.create_task(self._upload(connection, answer, clock))
        try:
            yield
        finally:
            uploading.cancel()
            await asyncio.gather(uploading, return_exceptions=True)

    async def _upload(self, connection: UpstreamConnection, answer: IncomingAnswer, clock: Clock) -> None:
        clock.pause()
        try:
            async for part in self._body.parts():
                clock.resume()
                connection.write(self._framed(part), is_last=self._body.has_ended)
                await connection.drain()
                clock.pause()
        except Exception as error:  # noqa: BLE001 -- raised where the answer is waited for
            answer.fail(error)
        clock.resume()

    def _framed(self, part: bytes) -> bytes:
        if self._body.declared is not None:
            return part
        chunk = b"%x\r\n%b\r\n" % (len(part), part) if part else b""
        return chunk + b"0\r\n\r\n" if self._body.has_ended else chunk

    async def _pass_on(
        self, connection: UpstreamConnection, answer: IncomingAnswer, clock: Clock, watch: Watch, span: Span
    ) -> None:
        await answer.head()
        # Whatever its status: who answers is not away, and may tell its callers itself what is wrong.
        self._judge(ok=True)
        span.set_attribute("http.response.status_code", answer.status)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            spans.mark_failed()
        fields = headers.to_caller(answer.fields, None if answer.status in NO_BODY else answer.length)
        self.has_begun = True
        clock.pause()
        await watch.send({"type": "http.response.start", "status": answer.status, "headers": fields})
        has_more = True
        while has_more:
            clock.resume()
            part = await connection.read(answer)
            clock.pause()
            if not (has_more := not answer.is_whole):
                watch.stop()
            await watch.send({"type": "http.response.body", "body": part, "more_body": has_more})
        clock.resume()

    def _judge(self, *, ok: bool) -> None:
        self._is_judged = True
        self._breaker.record(ok=ok)

    def _note_failure(self, error: UpstreamError, span: Span) -> None:
        if self._is_upstreams(error) and not self.has_begun:
            self._judge(ok=False)
        kind, upstream = type(error).__name__, self._route.upstream
        span.set_attribute("error.type", kind)
        spans.mark_failed()
        failures.add(1, {"upstream": upstream, "error": kind})
        log.warning("upstream.failed", upstream=upstream, error=kind, has_begun=self.has_begun)

    def _is_upstreams(self, error: UpstreamError) -> bool:
        """Whether the upstream is to blame: it had the whole request, and all of its time."""
        if isinstance(error, ConnectTimeoutError):
            return not self._has_queued
        if isinstance(error, UpstreamTimeoutError):
            return self._body.has_ended and not self._has_queued
        return self._body.has_ended or not isinstance(error, ConnectionEndedError)


def _explain(error: UpstreamError) -> MainstemError:
    """Return the error for the caller; how the upstream failed is for the log."""
    if isinstance(error, UpstreamTimeoutError):
        return GatewayTimeoutError("the service behind the gateway did not answer in time")
    return BadGatewayError("the service behind the gateway gave no usable answer")
