"""Spans: pieces of work that are timed, children of a traceparent, linked to others."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACEPARENT = "traceparent"
TRACE_CONTEXT = TraceContextTextMapPropagator()
SAMPLED = frozenset("13579bdf")
"""Last characters of a sampled trace's traceparent: the last bit of its flags is set."""
_tracer = trace.get_tracer("mainstem")
"""Ours, whichever SDK is started; to ask for it at each span would take as long as the span."""
MOST_LINKS = 128
"""The SDK keeps no more of a span."""


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
