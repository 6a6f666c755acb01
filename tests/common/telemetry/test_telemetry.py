import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from collector import open_collector
from hypothesis import given
from hypothesis import strategies as st

from mainstem.common.telemetry import spans
from mainstem.sandbox.servers.ports import Ports
from mainstem.sandbox.servers.postgres import Postgres

HERE = Path(__file__).parent
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


@dataclass
class Told:
    """What a process told: its log lines and its spans."""

    output: str
    exported: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.splitlines()]

    @property
    def spans(self) -> list[dict[str, Any]]:
        spans: list[dict[str, Any]] = json.loads(self.exported)
        return spans

    def find_lines(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    def find_spans(self, name: str) -> list[dict[str, Any]]:
        return [span for span in self.spans if span["name"] == name]


async def probe(postgres: Postgres, file: Path, parent: str, **told: str) -> str:
    """Run the probe, which writes its spans into the file; return what it logged."""
    environment = {
        **os.environ,
        "DATABASE_URL": postgres.superuser_url(),
        "PYTHONPATH": str(HERE.parents[1] / "fixtures"),
        "OTEL_TRACES_SAMPLER_ARG": "0",
        **told,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, HERE / "telemetry_probe.py", file, parent),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    return output.decode()


@pytest.fixture(scope="module")
async def told(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What the probe told; each claim below is about the same run."""
    file = tmp_path_factory.mktemp("probe") / "spans.json"
    output = await probe(postgres, file, PARENT)
    return Told(output, await asyncio.to_thread(file.read_text))


async def test_a_query_yields_a_span_in_the_requests_trace(told: Told) -> None:
    (query,) = [span for span in told.spans if span["attributes"].get("db.statement") == "SELECT 41 + 1"]
    (request,) = told.find_spans("GET /query")
    assert query["context"]["trace_id"] == request["context"]["trace_id"] == f"0x{TRACE_ID}"
    assert query["parent_id"] == request["context"]["span_id"]


async def test_a_sampled_caller_is_followed_whatever_our_own_ratio_is(told: Told) -> None:
    assert {span["context"]["trace_id"] for span in told.spans} == {f"0x{TRACE_ID}"}


async def test_health_is_not_traced(told: Told) -> None:
    assert not [span for span in told.spans if "heartbeat" in span["name"]]


async def test_log_lines_bear_trace_request_and_service(told: Told) -> None:
    (line,) = told.find_lines("probe.queried")
    assert line["trace_id"] == TRACE_ID
    assert line["request_id"] == "request-1"
    assert line["service"] == "probe"
    assert line["traceparent"] == f"00-{TRACE_ID}-{line['span_id']}-01"


async def test_each_request_is_logged_once_without_its_query(told: Told) -> None:
    served = [(line["route"], line["status"]) for line in told.find_lines("request.served")]
    assert served == [("/query", 200), ("/violate", 500), ("/broken", 500)]


async def test_what_broke_is_logged_with_its_place(told: Told) -> None:
    failures = told.find_lines("request.failed")
    assert [line["error"] for line in failures] == ["UniqueViolationError", "RuntimeError"]
    assert failures[1]["frames"][-1].endswith(" break_down")
    assert failures[1]["trace_id"] == TRACE_ID
    assert failures[1]["request_id"] == "request-1"


async def test_no_log_line_quotes_an_exception_or_a_query(told: Told) -> None:
    assert "jane" not in told.output


async def test_no_span_quotes_an_exception_or_a_query(told: Told) -> None:
    assert "jane" not in told.exported
    (violation,) = told.find_spans("probe.violation")
    assert violation["status"] == {"status_code": "ERROR"}
    assert all(span["events"] == [] for span in told.spans)


async def test_a_stored_trace_is_continued_and_linked(told: Told) -> None:
    (span,) = told.find_spans("probe.continued")
    assert span["parent_id"] == "0x00f067aa0ba902b7"
    assert span["links"][0]["context"]["trace_id"] == f"0x{TRACE_ID}"


async def test_a_span_for_several_is_the_child_of_the_oldest_and_links_the_others_that_are_kept(
    told: Told,
) -> None:
    (span,) = told.find_spans("probe.several")
    assert span["parent_id"] == "0x00f067aa0ba902b7"
    assert [link["context"]["trace_id"] for link in span["links"]] == ["0x1af7651916cd43dd8448eb211c80319c"]


async def test_a_collector_is_told_of_what_failed_and_what_led_to_it_though_nothing_is_sampled(
    postgres: Postgres, ports: Ports, tmp_path: Path
) -> None:
    async with open_collector(tmp_path, ports) as collector:
        unsampled = f"{PARENT[:-2]}00"
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
        await probe(postgres, tmp_path / "spans.json", unsampled, **endpoint)
        await collector.settle()
    names = [span.name for span in collector.spans]
    assert {"GET /violate", "probe.violation", "INSERT", "GET /broken", "probe.called"} <= set(names)
    assert names.count("probe.called") == 2
    assert {"GET /query", "probe.continued"}.isdisjoint(names)
    # Of those without a failure, only what serves a sampled trace too is told.
    assert names.count("probe.several") == 1
    assert {span.trace_id for span in collector.spans} == {TRACE_ID}
    assert "jane" not in collector.text


def test_outside_any_span_there_is_no_traceparent() -> None:
    assert spans.traceparent() is None
    assert spans.trace_id_of(None) is None


@given(trace_id=st.integers(1, 2**128 - 1), span_id=st.integers(1, 2**64 - 1))
def test_the_trace_id_of_a_stored_traceparent_is_its_second_part(trace_id: int, span_id: int) -> None:
    assert spans.trace_id_of(f"00-{trace_id:032x}-{span_id:016x}-01") == f"{trace_id:032x}"
