"""A process with telemetry, for `test_telemetry.py`: an SDK starts once a process, and not in the tests'.

Serves a request that queries, one that breaks in Postgres, and one that breaks by itself; logs go to
standard output as they do in a service, the spans that would be exported to the file given.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from serving import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from mainstem.common.database.sessions import Database, open_database
from mainstem.common.http.app import AppState, build_app
from mainstem.common.http.endpoint import Endpoint
from mainstem.common.settings import ServiceSettings
from mainstem.common.telemetry import setup as telemetry
from mainstem.common.telemetry import spans

SAMPLED = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-2af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"

log = structlog.get_logger()


class ProbeState(AppState):
    """What the endpoints need."""

    database: Database


QUERY, VIOLATE, BROKEN = (
    Endpoint("GET", path, answers={200: "nothing"}, public=True) for path in ("/query", "/violate", "/broken")
)


@QUERY.handler
async def query(request: Request) -> Response:
    async with request.state["database"].transaction() as connection:
        await connection.fetchval("SELECT 41 + 1")
    log.info("probe.queried", traceparent=spans.traceparent())
    return Response()


@VIOLATE.handler
async def violate(request: Request) -> Response:
    with spans.span("probe.violation"):
        async with request.state["database"].transaction() as connection:
            await connection.execute("CREATE TEMPORARY TABLE t (email TEXT PRIMARY KEY)")
            await connection.execute("INSERT INTO t VALUES ($1), ($1)", "jane@example.com")
    return Response()


@BROKEN.handler
async def break_down(_request: Request) -> Response:
    raise RuntimeError("jane@example.com")


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[ProbeState]:
    async with open_database(os.environ["DATABASE_URL"], name="probe") as database:
        yield {"identity": None, "checks": {}, "database": database}


async def call_all(parent: str) -> None:
    """Make each request once, in the trace given."""
    async with (
        serving(build_app("probe", endpoints=(QUERY, VIOLATE, BROKEN), lifespan=lifespan)) as url,
        httpx.AsyncClient(base_url=url) as http,
    ):
        headers = {"x-request-id": "request-1"}
        for path in ("/query?primary_email=jane@example.com", "/violate", "/broken", "/__heartbeat__"):
            with spans.span("probe.called", parent=parent):
                await http.get(path, headers=headers)


def main(file: Path, parent: str) -> None:
    """Run the probe and write its spans."""
    settings = ServiceSettings.from_environment()
    telemetry.start("probe", settings)
    telemetry.start("probe", settings)
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    memory = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(telemetry.DiscreetExporter(memory)))
    asyncio.run(call_all(parent))
    with spans.span("probe.continued", parent=parent, links=[parent]):
        pass
    with spans.span_for("probe.several", [None, parent, parent, SAMPLED, UNSAMPLED]):
        pass
    telemetry.flush()
    file.write_text(json.dumps([json.loads(span.to_json()) for span in memory.get_finished_spans()]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
