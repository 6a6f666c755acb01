"""One trace from the door to the platform: the demo's story, as a real collector sees it."""

import asyncio
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from collector import Collector, Seen, open_collector
from opentelemetry.instrumentation.utils import suppress_http_instrumentation
from rich.console import Console

from mainstem.sandbox.demo.actors import open_actors
from mainstem.sandbox.demo.expectations import FXA_ID
from mainstem.sandbox.demo.play import play
from mainstem.sandbox.demo.story import EMAIL
from mainstem.sandbox.servers.ports import Ports
from mainstem.sandbox.stack.assembly import Options
from mainstem.sandbox.stack.folder import Stack
from mainstem.sandbox.stack.launcher import Launcher

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")]

PATIENCE_SECONDS = 30
INGEST, SYNC, BILLING = "mainstem-ingest", "mainstem-sync", "mainstem-billing"
GATEWAY = "mainstem-gateway"


@dataclass(frozen=True)
class Story:
    """What the collector was told while the story was played."""

    spans: list[Seen]
    text: str
    secrets: list[str]

    def find(self, name: str, service: str) -> list[Seen]:
        return [span for span in self.spans if (span.name, span.service) == (name, service)]

    def below(self, span: Seen) -> list[Seen]:
        return [one for one in self.spans if one.parent_id == span.span_id]


@pytest.fixture(scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory, ports: Ports) -> Story:
    """Each claim below is about the same story, all of which the collector has heard."""
    async with open_collector(tmp_path_factory.mktemp("collector"), ports) as collector:
        console = Console(file=io.StringIO())
        options = Options(durable=False, settings=telling(collector))
        async with Launcher(options) as stack:
            # The caller is no service of ours: it brings no trace, whatever this process has started.
            with suppress_http_instrumentation():
                assert await play(stack, console)
            await collector.settle()
        await collector.settle()
        secrets = [stack.stripe.api_key, stack.stripe.webhook_secret, stack.clients["demo"].client_secret]
        return Story(collector.spans, collector.text, secrets)


def telling(collector: Collector) -> dict[str, str]:
    """Return the settings of processes that tell twice a second: at their end there is little time for it."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "500"}


def only(spans: Iterable[Seen], matches: Callable[[Seen], bool]) -> Seen:
    found = [span for span in spans if matches(span)]
    assert found
    return found[0]


def ids(spans: Iterable[Seen]) -> set[tuple[str, str]]:
    return {(span.trace_id, span.span_id) for span in spans}


def named(name: str) -> Callable[[Seen], bool]:
    return lambda span: span.name == name


async def test_an_event_goes_from_stripes_request_to_acoustics_answer_under_one_trace(story: Story) -> None:
    """Every stop is a child of the request that brought the event."""
    door = story.find("POST /webhooks/stripe", INGEST)
    way = {"record", "process", "fetch", "relay", "deliver"}
    received = only(door, lambda span: way <= {one.name for one in story.below(span)})
    stops = {name: only(story.below(received), named(name)) for name in way}
    assert {name: stop.service for name, stop in stops.items()} == {
        **dict.fromkeys(("record", "process", "fetch"), INGEST),
        **dict.fromkeys(("relay", "deliver"), SYNC),
    }
    fetched = only(story.below(stops["fetch"]), lambda span: span.kind == "client")
    assert "/stripe/v1/" in fetched.url
    committed = only(story.below(stops["process"]), named("commit"))
    assert {"INSERT", "COMMIT;"} <= {span.name for span in story.below(committed)}
    sent = only(story.below(stops["deliver"]), lambda span: span.url.endswith("/acoustic/XMLAPI"))
    assert sent.attributes["http.response.status_code"] == 200
    everyone = [received, *stops.values(), fetched, committed, sent]
    assert {span.trace_id for span in everyone} == {received.trace_id}
    assert not any(span.is_error for span in everyone)


async def test_a_callers_request_goes_through_the_gateway_to_acoustics_answer_under_one_trace(
    story: Story,
) -> None:
    (created,) = story.find("POST /ctms", SYNC)
    (forwarded,) = [span for span in story.spans if span.span_id == created.parent_id]
    (asked,) = [span for span in story.spans if span.span_id == forwarded.parent_id]
    assert (forwarded.service, forwarded.kind) == (asked.service, "client") == (GATEWAY, "client")
    assert (asked.kind, asked.parent_id) == ("server", "")
    delivered = only(story.below(created), named("deliver"))
    sent = only(story.below(delivered), lambda span: span.url.endswith("/acoustic/XMLAPI"))
    assert {span.trace_id for span in (created, forwarded, delivered, sent)} == {asked.trace_id}


async def test_a_span_for_several_events_is_the_child_of_one_and_links_the_others(story: Story) -> None:
    posted = ids(story.find("POST /webhooks/stripe", INGEST))
    returned = ids(story.find("GET /billing/return", BILLING))
    for name in ("record", "process", "fetch"):
        spans = story.find(name, INGEST)
        several = [span for span in spans if span.attributes["events"] > 1]
        for span in spans:
            parent = (span.trace_id, span.parent_id)
            causes = span.links | {parent}
            assert parent not in span.links
            assert causes <= posted | returned
            # Who comes back from a checkout has customer, subscription and bill fetched, all by one request.
            hinted = span.attributes["events"] - len(causes & posted)
            assert hinted in (range(1, 4) if causes & returned else [0])
        # Stripe sends the events of a sale side by side, so that some are worked off together.
        assert several or name == "record"


async def test_every_span_stands_in_a_whole_trace_that_somebody_began(story: Story) -> None:
    known = {span.span_id for span in story.spans}
    assert [span for span in story.spans if span.parent_id and span.parent_id not in known] == []
    assert {span.kind for span in story.spans if not span.parent_id} == {"server"}


async def test_spans_tell_nothing_of_a_person_and_no_secret(story: Story) -> None:
    assert "db.statement" in story.text
    private = [EMAIL, FXA_ID, "Bearer", "password", *story.secrets]
    assert [one for one in private if one in story.text] == []
    attributes = [item for span in story.spans for item in span.attributes.items()]
    assert [item for item in attributes if "?" in str(item[1]) and item[0] != "db.statement"] == []
    told = {name for name, _ in attributes}
    assert told.isdisjoint({"net.peer.ip", "client.address", "http.user_agent", "db.statement.parameters"})


FAULTS = (
    {"target": "stripe", "kind": "status", "status": 500, "method": "GET", "path": "^/v1/customers"},
    {"target": "acoustic", "kind": "status", "status": 500, "path": "XMLAPI"},
)
FAILURES = """
SELECT (SELECT count(*) FROM inbox.event WHERE failures > 0)
     + (SELECT count(*) FROM contact.delivery WHERE failures > 0)
"""


async def fail_twice(stack: Stack) -> None:
    """Return when a fetch has failed, and a delivery."""
    async with open_actors(stack) as actors:
        for fault in FAULTS:
            await actors.world.http.post("/_sandbox/faults", json=fault)
        await actors.caller.authorise()
        await actors.caller.create_contact({"email": {"primary_email": EMAIL}})
        await actors.seller.v1.customers.create_async({"description": FXA_ID})
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await actors.database.fetchval(FAILURES) < len(FAULTS):  # noqa: ASYNC110 -- other processes set no event of ours
                await asyncio.sleep(0.1)


async def test_what_fails_is_told_though_nothing_is_sampled(tmp_path: Path, ports: Ports) -> None:
    async with open_collector(tmp_path, ports) as collector:
        told = {**telling(collector), "OTEL_TRACES_SAMPLER_ARG": "0"}
        async with Launcher(Options(durable=False, settings=told)) as stack:
            await fail_twice(stack)
            await collector.settle()
        await collector.settle()
    spans = {span.name: span for span in collector.spans}
    assert all(spans[name].is_error for name in ("GET", "fetch", "fail", "POST", "deliver"))
    assert (spans["GET"].parent_id, spans["POST"].parent_id) == (
        spans["fetch"].span_id,
        spans["deliver"].span_id,
    )
    # The event's own trace tells that it failed, though the batch went on.
    assert (spans["fail"].trace_id, spans["fail"].parent_id) == (
        spans["fetch"].trace_id,
        spans["fetch"].parent_id,
    )
    assert {"POST /webhooks/stripe", "record", "process", "POST /ctms"}.isdisjoint(spans)
