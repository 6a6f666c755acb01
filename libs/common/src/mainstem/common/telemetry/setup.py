"""Set-up of telemetry in a process: logs, traces and metrics; the only place that starts an SDK."""

import threading
from collections.abc import Sequence
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, Status

from mainstem.common.settings import ServiceSettings
from mainstem.common.telemetry.logs import start_logging
from mainstem.common.telemetry.sampling import ErrorProcessor, PartSampler, replaced

BEGINNINGS = ("BEGIN", "SET LOCAL ")
FLUSH_SECONDS = 0.5

CALLER_ATTRIBUTES = frozenset(
    {
        "client.address",
        "client.port",
        "http.user_agent",
        "net.peer.ip",
        "net.peer.port",
        "user_agent.original",
        "user_agent.synthetic.type",
    }
)
"""Span attributes that identify a caller: an address may be personal data."""


def start(service: str, settings: ServiceSettings) -> None:
    """Start logging, tracing and metrics for this process; a second call changes nothing."""
    if isinstance(trace.get_tracer_provider(), TracerProvider):
        return
    start_logging(service, settings)
    resource = Resource.create(
        {"service.name": f"mainstem-{service}", "service.instance.id": settings.instance}
    )
    is_exported = settings.otlp_endpoint is not None
    sampler = PartSampler(settings.trace_ratio, records_all=is_exported)
    tracers = TracerProvider(resource=resource, sampler=sampler)
    if is_exported:
        exporting = BatchSpanProcessor(DiscreetExporter(OTLPSpanExporter()))
        tracers.add_span_processor(ErrorProcessor(exporting))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=[PrometheusMetricReader()]))
    _Statements().instrument()  # type: ignore[no-untyped-call]  # the package ships no types for it
    HTTPXClientInstrumentor().instrument(async_request_hook=_leave_out_query)


class _Statements(AsyncPGInstrumentor):
    """Spans of statements, but for those that only begin a transaction: they ask Postgres for nothing.

    A commit has its span: it waits for the disk.
    """

    async def _do_execute(self, func: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if args[0].startswith(BEGINNINGS):
            return await func(*args, **kwargs)
        return await super()._do_execute(func, instance, args, kwargs)  # type: ignore[no-untyped-call]  # as above


async def _leave_out_query(span: Span, request: Any) -> None:
    # A query may name a person, or hold a secret.
    if span.is_recording():
        span.set_attribute("http.url", str(request.url).partition("?")[0])


class DiscreetExporter(SpanExporter):
    """Exports spans without callers' addresses, and without the texts of exceptions.

    Those of Postgres, for one, quote a person's data; SDK and instrumentations write them into a span's
    events and into the description of its status.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export what may be told of these spans."""
        return self._exporter.export([_discreet(one) for one in spans])

    def shutdown(self) -> None:
        """End the exporter below."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Have the exporter below send what waits."""
        return self._exporter.force_flush(timeout_millis)


def _discreet(one: ReadableSpan) -> ReadableSpan:
    kept = {name: value for name, value in (one.attributes or {}).items() if name not in CALLER_ATTRIBUTES}
    return replaced(one, attributes=kept, events=(), status=Status(one.status.status_code))


def flush() -> None:
    """Send the spans that wait, if that takes no longer than half a second; for the end of a process."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        # The SDK heeds no time limit here: a collector that is away would hold up the end by its retries.
        flushing = threading.Thread(target=provider.force_flush, name="flush", daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS)
