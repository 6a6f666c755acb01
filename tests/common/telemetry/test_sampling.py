from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from properties import examples

from mainstem.common.telemetry.sampling import ErrorProcessor, PartSampler

NEVER, ALWAYS = 0.0, 1.0


class Traced:
    """A process's tracing, as `telemetry` puts it together, that exports into memory."""

    def __init__(self, ratio: float, *, most: int = 100, records_all: bool = True) -> None:
        self.memory = InMemorySpanExporter()
        self.processor = ErrorProcessor(SimpleSpanProcessor(self.memory), most)
        provider = TracerProvider(sampler=PartSampler(ratio, records_all=records_all), shutdown_on_exit=False)
        provider.add_span_processor(self.processor)
        self.tracer = provider.get_tracer("test")

    @contextmanager
    def span(self, name: str, *, fails: bool = False, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[Span]:
        with self.tracer.start_as_current_span(name, kind=kind) as span:
            yield span
            if fails:
                span.set_status(StatusCode.ERROR)

    @property
    def exported(self) -> list[str]:
        return [span.name for span in self.spans]

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.memory.get_finished_spans()

    @property
    def is_empty(self) -> bool:
        return not self.processor._live


def remote(*, is_sampled: bool) -> SpanContext:
    return SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(int(is_sampled)))


def below(parent: SpanContext) -> Context:
    return set_span_in_context(NonRecordingSpan(parent))


def test_what_is_not_sampled_and_went_well_is_not_exported() -> None:
    traced = Traced(NEVER)
    with traced.span("request"), traced.span("query"):
        pass
    assert traced.exported == []
    assert traced.is_empty


def test_an_error_is_exported_with_its_ancestors_and_nothing_else() -> None:
    traced = Traced(NEVER)
    with traced.span("request"):
        with traced.span("before"):
            pass
        with traced.span("step"), traced.span("query", fails=True):
            pass
        with traced.span("after"):
            pass
    assert traced.exported == ["query", "step", "request"]
    assert traced.is_empty


def test_what_is_exported_for_an_error_says_that_it_is_sampled() -> None:
    traced = Traced(NEVER)
    began = below(remote(is_sampled=False))
    with (
        traced.tracer.start_as_current_span("request", began, attributes={"a": 1}),
        traced.span("query", fails=True),
    ):
        pass
    query, request = traced.spans
    assert query.parent is not None
    assert request.context is not None
    assert query.parent == request.context
    assert request.context.trace_flags.sampled
    assert request.context.trace_id == 7
    assert request.attributes == {"a": 1}


def test_an_error_after_its_parents_end_still_brings_the_parent() -> None:
    traced = Traced(NEVER)
    with traced.span("request"):
        late = traced.tracer.start_span("late")
    assert traced.exported == []
    late.set_status(StatusCode.ERROR)
    late.end()
    assert sorted(traced.exported) == ["late", "request"]
    assert traced.is_empty


def test_the_caller_is_told_nothing_of_an_error_that_was_not_sampled() -> None:
    """What goes on to others keeps its flag: they decide for themselves."""
    traced = Traced(NEVER)
    with traced.span("request", fails=True) as span:
        assert not span.get_span_context().trace_flags.sampled


def test_without_a_collector_nothing_unsampled_is_recorded() -> None:
    traced = Traced(NEVER, records_all=False)
    with traced.span("request", fails=True) as span:
        assert not span.is_recording()
        assert span.get_span_context().is_valid


@pytest.mark.parametrize("is_sampled", [True, False])
@pytest.mark.parametrize("ratio", [NEVER, ALWAYS])
def test_whoever_began_a_trace_has_decided(ratio: float, is_sampled: bool) -> None:
    traced = Traced(ratio)
    with traced.tracer.start_as_current_span("request", below(remote(is_sampled=is_sampled))):
        pass
    assert traced.exported == ["request"] * is_sampled


def test_a_span_for_several_is_sampled_if_one_of_them_is() -> None:
    traced = Traced(NEVER)
    links = [Link(remote(is_sampled=False)), Link(remote(is_sampled=True))]
    oldest = below(remote(is_sampled=False))
    with (
        traced.tracer.start_as_current_span("batch", oldest, links=links),
        traced.span("commit"),
    ):
        pass
    assert traced.exported == ["commit", "batch"]


def test_a_call_that_nobody_asked_for_is_no_trace_but_its_failure_is() -> None:
    traced = Traced(ALWAYS)
    with traced.span("poll", kind=SpanKind.CLIENT):
        pass
    with traced.span("poll that fails", kind=SpanKind.CLIENT, fails=True):
        pass
    with traced.span("request", kind=SpanKind.SERVER), traced.span("query", kind=SpanKind.CLIENT):
        pass
    assert traced.exported == ["poll that fails", "query", "request"]


def test_a_span_that_never_ends_is_forgotten_in_the_end() -> None:
    traced = Traced(NEVER, most=3)
    forgotten = traced.tracer.start_span("forgotten")
    for _ in range(10):
        traced.tracer.start_span("leaked")
    assert len(traced.processor._live) == 3
    forgotten.set_status(StatusCode.ERROR)
    forgotten.end()
    assert traced.exported == ["forgotten"]


@dataclass(frozen=True)
class Node:
    """A span to be: what begins below it, whether it fails, and whether it ends before its children do."""

    fails: bool
    ends_early: bool
    children: tuple["Node", ...]


NODES = st.recursive(
    st.builds(Node, fails=st.booleans(), ends_early=st.booleans(), children=st.just(())),
    lambda below: st.builds(
        Node,
        fails=st.booleans(),
        ends_early=st.booleans(),
        children=st.lists(below, max_size=3).map(tuple),
    ),
    max_leaves=12,
)


def play(traced: Traced, node: Node, parent: Span | None, wanted: set[int]) -> bool:
    """Run a span with all below it; return whether something failed, and note what must be exported."""
    context = None if parent is None else set_span_in_context(parent)
    span = traced.tracer.start_span("span", context)
    below_it = [traced.tracer.start_span("first below", set_span_in_context(span))] if node.ends_early else []
    if node.fails:
        span.set_status(StatusCode.ERROR)
    if node.ends_early:
        span.end()
    for one in below_it:
        failures = [play(traced, child, one, wanted) for child in node.children]
        one.end()
        has_failed = any(failures)
        if has_failed:
            wanted.add(one.get_span_context().span_id)
    if not node.ends_early:
        failures = [play(traced, child, span, wanted) for child in node.children]
        has_failed = any(failures)
        span.end()
    if has_failed or node.fails:
        wanted.add(span.get_span_context().span_id)
    return has_failed or node.fails


@settings(max_examples=examples(200), deadline=None)
@given(NODES)
def test_whatever_ends_first_errors_and_their_ancestors_are_exported_once(tree: Node) -> None:
    traced, wanted = Traced(NEVER, most=1_000), set[int]()
    play(traced, tree, None, wanted)
    exported = [span.context.span_id for span in traced.spans if span.context is not None]
    assert sorted(exported) == sorted(wanted)
    assert traced.is_empty
