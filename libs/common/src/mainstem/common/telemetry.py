"""Logs, traces and metrics: the only place that starts an SDK.

Modules log by `structlog.get_logger()`, count by `meter()` and time by `span()`; nothing of them depends
on whether a collector listens. The trace context travels with events and outbox entries as a `traceparent`.
"""

import json
import logging
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import structlog
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from mainstem.common.sampling import ErrorProcessor, PartSampler, replaced
from mainstem.common.settings import ServiceSettings

TRACEPARENT = "traceparent"
TRACE_CONTEXT = TraceContextTextMapPropagator()
SAMPLED = frozenset("13579bdf")
"""How a traceparent ends whose trace is sampled: the last bit of its flags is set."""

BEGINNINGS = ("BEGIN", "SET LOCAL ")

FRAMES = 12
_tracer = trace.get_tracer("mainstem")
"""Ours, whichever SDK is started; to ask for it at each span would take as long as the span."""
FLUSH_SECONDS = 0.5
MOST_LINKS = 128
"""The SDK keeps no more of a span."""

ABOUT_CALLERS = frozenset(
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
"""What instrumentations tell of who calls: an address may be a person's."""


def start(service: str, settings: ServiceSettings) -> None:
    """Start logging, tracing and metrics for this process; a second call changes nothing."""
    if isinstance(trace.get_tracer_provider(), TracerProvider):
        return
    _start_logging(service, settings)
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
    told = {name: value for name, value in (one.attributes or {}).items() if name not in ABOUT_CALLERS}
    return replaced(one, attributes=told, events=(), status=Status(one.status.status_code))


def flush() -> None:
    """Send the spans that wait, if that takes no longer than half a second; for the end of a process."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        # The SDK heeds no time limit here: a collector that is away would hold up the end by its retries.
        flushing = threading.Thread(target=provider.force_flush, name="flush", daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS)


def meter() -> metrics.Meter:
    """Return the meter of our own instruments; their names start with `mainstem_`."""
    return metrics.get_meter("mainstem")


@contextmanager
def span(
    name: str,
    *,
    parent: str | None = None,
    links: Iterable[str] = (),
    kind: SpanKind = SpanKind.INTERNAL,
    started_at: int | None = None,
    **attributes: Any,
) -> Iterator[Span]:
    """Time a piece of work: child of the traceparent given, else of the current span, linked to others.

    Args:
        name: a verb, the same for every span of its kind.
        parent: whose child it is.
        links: the traceparents of what else it is about.
        kind: whether it calls, serves or consumes.
        started_at: nanoseconds by `time.time_ns`, for what began before one knew whose it is.
        attributes: ids and numbers; nothing of a person.
    """
    context = None if parent is None else context_of(parent)
    others = [Link(_span_context_of(link)) for link in islice(links, MOST_LINKS)]
    with _tracer.start_as_current_span(
        name, context, kind=kind, links=others, attributes=attributes, start_time=started_at
    ) as current:
        yield current


def span_for(
    name: str,
    causes: Iterable[str | None],
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    started_at: int | None = None,
    **attributes: Any,
) -> AbstractContextManager[Span]:
    """Time a piece of work that serves several traces: child of the first, the oldest, linked to the others.

    Those that are not sampled are left out: a link to what nobody keeps leads nowhere.

    Args:
        name: as `span` has it, like the rest.
        causes: the traceparents of what it serves, the oldest first; None where there is none.
        kind: as above.
        started_at: as above.
        attributes: as above.
    """
    several = list(dict.fromkeys(cause for cause in causes if cause is not None))
    parent = several[0] if several else None
    links = [cause for cause in several[1:] if _is_sampled(cause)]
    return span(name, parent=parent, links=links, kind=kind, started_at=started_at, **attributes)


def mark_failed() -> None:
    """Have the current span end in an error that nobody raises beyond it: it is exported, sampled or not."""
    trace.get_current_span().set_status(StatusCode.ERROR)


def traceparent() -> str | None:
    """Return the current span's W3C traceparent, or None outside any."""
    carrier: dict[str, str] = {}
    TRACE_CONTEXT.inject(carrier)
    return carrier.get(TRACEPARENT)


def context_of(parent: str) -> Context:
    """Return the context that a stored traceparent names."""
    return TRACE_CONTEXT.extract({TRACEPARENT: parent}, Context())


def _is_sampled(parent: str) -> bool:
    return parent[-1:] in SAMPLED


def _span_context_of(parent: str) -> SpanContext:
    return trace.get_current_span(context_of(parent)).get_span_context()


def trace_id_of(parent: str | None) -> str | None:
    """Return the trace id in a stored traceparent: 32 hexadecimal digits."""
    return None if parent is None else parent.split("-")[1]


def _start_logging(service: str, settings: ServiceSettings) -> None:
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
    ]
    structlog.configure(
        # Not by way of `logging`, which takes three times as long for a line; that is for others' lines.
        processors=[*shared, _render_exception, _as_json],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level)),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _render_exception,
                lambda *event: _as_json(*event).decode(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    structlog.contextvars.bind_contextvars(service=service)
    # Their lines at INFO repeat what our own events and spans say, one for every request or job, and the
    # SDK's quote whole addresses, in which a query may name a person.
    for chatty in ("arq", "httpx", "httpcore", "stripe", "uvicorn"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def _add_trace(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


def _as_json(_logger: Any, _method: str, event: structlog.typing.EventDict) -> bytes:
    try:
        return msgspec.json.encode(event, enc_hook=repr)
    except ValueError:
        # Half of a surrogate pair cannot be encoded, but escaped.
        return json.dumps(event, default=repr).encode()


def _render_exception(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Say where an exception came from, innermost last, without its text: that may quote a person's data."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
        event["exception"] = type(error).__qualname__
        event["frames"] = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    return event
