"""Sampling of spans: kept are a part of all traces, what shares a span with one of those, and every error."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.sampling import (
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    get_current_span,
)
from opentelemetry.util.types import Attributes

MOST_LIVE = 4_096
"""Maximum number of a process's unsampled spans that wait for their own end or their descendants'."""

FIELDS = (
    "name",
    "context",
    "parent",
    "resource",
    "attributes",
    "events",
    "links",
    "kind",
    "status",
    "start_time",
    "end_time",
    "instrumentation_scope",
)


def replaced(span: ReadableSpan, **changes: Any) -> ReadableSpan:
    """Return a copy of a span in which some fields are others."""
    return ReadableSpan(**{field: getattr(span, field) for field in FIELDS} | changes)


class PartSampler(Sampler):
    """Samples a part of the traces that begin here, and follows whoever began the others.

    A span that serves several traces is sampled if one of them is: its parent is only the oldest.
    A call that nobody asked for (a poll's statement) begins no trace of its own.

    Args:
        ratio: which part, 0 to 1.
        records_all: have the spans that are not sampled recorded too, for `ErrorProcessor`.
    """

    def __init__(self, ratio: float, *, records_all: bool) -> None:
        self._by_trace = ParentBased(TraceIdRatioBased(ratio))
        self._otherwise = Decision.RECORD_ONLY if records_all else Decision.DROP

    def should_sample(  # noqa: PLR0917 -- the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,  # noqa: ARG002 -- as above
    ) -> SamplingResult:
        """Decide, when a span begins."""
        by_trace = self._by_trace.should_sample(parent_context, trace_id, name, kind, attributes, links)
        is_alone = not get_current_span(parent_context).get_span_context().is_valid
        is_sampled = any(link.context.trace_flags.sampled for link in links or ()) or (
            by_trace.decision is Decision.RECORD_AND_SAMPLE and not (is_alone and kind is SpanKind.CLIENT)
        )
        decision = Decision.RECORD_AND_SAMPLE if is_sampled else self._otherwise
        # The SDK's `AlwaysRecordSampler` would lose the attributes of what is not sampled.
        return SamplingResult(decision, attributes, by_trace.trace_state)

    def get_description(self) -> str:
        """Return how the SDK's own messages call it."""
        return type(self).__name__


@dataclass
class _Live:
    """An unsampled span that has not ended, or whose children have not."""

    parent: int | None
    children: int = 0
    is_wanted: bool = False
    ended: ReadableSpan | None = None


class ErrorProcessor(SpanProcessor):
    """Passes on what is sampled, and what is not but ended in an error, with its ancestors in this process.

    It remembers the unsampled spans that are under way, `most` of them: beyond that the oldest are
    forgotten, and an error below one of those goes without its ancestors.
    """

    def __init__(self, processor: SpanProcessor, most: int = MOST_LIVE) -> None:
        self._processor = processor
        self._most = most
        self._live: dict[int, _Live] = {}
        self._lock = threading.Lock()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember a span that is not sampled."""
        self._processor.on_start(span, parent_context)
        context = span.get_span_context()
        if context.trace_flags.sampled:
            return
        with self._lock:
            parent = None if span.parent is None else span.parent.span_id
            if parent in self._live:
                self._live[parent].children += 1
            else:
                parent = None
            self._live[context.span_id] = _Live(parent)
            if len(self._live) > self._most:
                del self._live[next(iter(self._live))]

    def on_end(self, span: ReadableSpan) -> None:
        """Pass a span on if it is sampled or, with what it stands in, if it ended in an error."""
        if span.context is None or span.context.trace_flags.sampled:
            self._processor.on_end(span)
            return
        with self._lock:
            wanted = self._end(span.context.span_id, span)
        for one in wanted:
            self._processor.on_end(_sampled(one))

    def shutdown(self) -> None:
        """End the processor below."""
        self._processor.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Have the processor below send what waits."""
        return self._processor.force_flush(timeout_millis)

    def _end(self, span_id: int, span: ReadableSpan) -> list[ReadableSpan]:
        """Note the end of a span, and return which spans are to be passed on for it."""
        is_error = span.status.status_code is StatusCode.ERROR
        live = self._live.get(span_id)
        if live is None:
            return [span] if is_error else []
        live.ended = span
        wanted = [span] if live.is_wanted else []
        if is_error:
            wanted += self._want(span_id)
        self._release(span_id)
        return wanted

    def _want(self, span_id: int | None) -> list[ReadableSpan]:
        """Want a span and its ancestors; return those that had ended before anybody wanted them."""
        ended = []
        while span_id is not None and (live := self._live.get(span_id)) and not live.is_wanted:
            live.is_wanted = True
            if live.ended is not None:
                ended.append(live.ended)
            span_id = live.parent
        return ended

    def _release(self, span_id: int | None) -> None:
        """Forget a span that has ended with all that began under it, and so its ancestors."""
        while span_id is not None and (live := self._live.get(span_id)):
            if live.ended is None or live.children:
                return
            del self._live[span_id]
            span_id = live.parent
            if span_id in self._live:
                self._live[span_id].children -= 1


def _sampled(span: ReadableSpan) -> ReadableSpan:
    """Return a copy that says of itself and its parent that they are sampled: no collector drops it then."""
    return replaced(span, context=_flagged(span.context), parent=_flagged(span.parent))


def _flagged(context: SpanContext | None) -> SpanContext | None:
    if context is None:
        return None
    flags = TraceFlags(context.trace_flags | TraceFlags.SAMPLED)
    return SpanContext(context.trace_id, context.span_id, context.is_remote, flags, context.trace_state)
