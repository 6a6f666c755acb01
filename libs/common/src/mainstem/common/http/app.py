"""HTTP side of every process: one app shape, health on four paths, errors in one form.

`/__lbheartbeat__` says that the process is alive, `/__heartbeat__` that it can work, with details;
`/__version__` says what runs and `/metrics` how it fares. No ingress routes these four.
"""

import json
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, TypedDict

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Lifespan

from mainstem.common.database.faults import is_temporary
from mainstem.common.database.pool import DATABASE_ERRORS
from mainstem.common.errors import PROBLEM, BadRequestError, MainstemError, UnavailableError
from mainstem.common.http.connections.server import Server, ShutdownState, configuration
from mainstem.common.http.endpoint import BODY_LIMIT, Endpoint  # noqa: F401 -- the limit belongs to an app's face
from mainstem.common.http.health import Check
from mainstem.common.http.identity import Verifier
from mainstem.common.http.middleware import RequestMiddleware
from mainstem.common.http.problems import problem_response
from mainstem.common.http.requests.budget import Budget
from mainstem.common.http.routing import answer_unmatched, routes_of
from mainstem.common.settings import ServiceSettings
from mainstem.common.telemetry import setup as telemetry

RETRY_AFTER_SECONDS = 5
"""Seconds that a caller should wait when the database does not answer."""

log = structlog.get_logger()


class AppState(TypedDict):
    """State that a service's lifespan gives to every request, at least.

    A process whose `identity` is None verifies none: it serves public endpoints alone.
    """

    identity: Verifier | None
    checks: Mapping[str, Check]


async def _is_up(check: Check) -> bool:
    try:
        return await check.ask()
    except Exception as error:  # noqa: BLE001 -- a check that fails in whatever way is an answer: no
        log.warning("heartbeat.check_failed", error=type(error).__name__)
        return False


ALIVE = Endpoint("GET", "/__lbheartbeat__", answers={200: "the process is alive"}, public=True)
READY = Endpoint(
    "GET",
    "/__heartbeat__",
    answers={200: "the process can work: each check by name", 503: "it cannot, or is to end"},
    public=True,
)
VERSION = Endpoint("GET", "/__version__", answers={200: "version, commit and build"}, public=True)
METRICS = Endpoint("GET", "/metrics", answers={200: "metrics in Prometheus' text format"}, public=True)

HEALTH = (ALIVE, READY, VERSION, METRICS)
HEALTH_PATHS = tuple(endpoint.path for endpoint in HEALTH)


@ALIVE.handler
async def _alive(_request: Request) -> Response:
    return JSONResponse({"status": "OK"})


@READY.handler
async def _ready(request: Request) -> Response:
    """Run every check. A needed one that is down makes it a 503, and so does the process's end."""
    shutdown_state: ShutdownState = request.app.state.shutdown_state
    details: dict[str, Any] = {"serving": {"up": False, "time_ms": 0}} if shutdown_state.has_begun else {}
    is_ready = not shutdown_state.has_begun
    checks: Mapping[str, Check] = request.state["checks"]
    for name, check in checks.items():
        started_at = time.monotonic()
        is_up = await _is_up(check)
        details[name] = {"up": is_up, "time_ms": round((time.monotonic() - started_at) * 1_000)}
        is_ready = is_ready and (is_up or not check.is_needed)
    return JSONResponse(details, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)


@VERSION.handler
async def _version(request: Request) -> Response:
    return JSONResponse(
        {
            "source": "mainstem",
            "service": request.app.state.service,
            "version": version("mainstem-common"),
            "commit": os.environ.get("MAINSTEM_COMMIT", ""),
            "build": os.environ.get("MAINSTEM_BUILD", ""),
        }
    )


@METRICS.handler
async def _metrics(_request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def build_app(
    service: str,
    *,
    endpoints: Sequence[Endpoint],
    lifespan: Lifespan[Starlette],
    unmatched: ASGIApp = answer_unmatched,
    budget: Budget | None = None,
) -> Starlette:
    """Return a service's app: its endpoints, and those of health.

    Args:
        service: its name, in telemetry and `/__version__`.
        endpoints: declarations, with their handlers.
        lifespan: opens what the handlers need, as an `AppState`.
        unmatched: answers paths that no endpoint has; by default 401, 404, or a redirect to the path.
        budget: limit on bodies that are held; by default 64 MiB.

    Raises:
        ValueError: an endpoint is declared twice, or has no handler.
    """
    app = Starlette(
        # Health last: what is compared first is what callers wait for.
        routes=routes_of((*endpoints, *HEALTH), budget or Budget()),
        middleware=[Middleware(RequestMiddleware, excluded_paths=HEALTH_PATHS)],
        exception_handlers={
            MainstemError: _answer_error,
            HTTPException: _answer_http_exception,
            ClientDisconnect: _answer_disconnected,
            **dict.fromkeys(DATABASE_ERRORS, _answer_database_error),
        },
        lifespan=_flushed(lifespan),
    )
    # Starlette's own redirect names the host that the request's `Host` header names.
    app.router.redirect_slashes = False
    app.router.default = unmatched
    app.state.shutdown_state = ShutdownState()
    app.state.service = service
    return app


def serve(app: Starlette, settings: ServiceSettings) -> None:
    """Serve what `build_app` returned until SIGTERM or SIGINT, then end what is under way."""
    config = configuration(app, settings)
    with suppress(KeyboardInterrupt):
        Server(config, app.state.shutdown_state, drain_seconds=settings.drain_seconds).run()


def _flushed(lifespan: Lifespan[Starlette]) -> Lifespan[Starlette]:
    """Return a lifespan that sends the last spans at its end; the signal then ends the process at once."""

    @asynccontextmanager
    async def flushed(app: Starlette) -> AsyncIterator[Any]:
        async with lifespan(app) as state:
            yield state
        telemetry.flush()

    return flushed


async def _answer_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, MainstemError)  # noqa: S101 -- registered for this class alone
    return problem_response(error)


async def _answer_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for this class alone
    status = HTTPStatus(error.status_code)
    problem = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": error.detail}
    return Response(json.dumps(problem), int(status), headers=error.headers, media_type=PROBLEM)


async def _answer_database_error(_request: Request, error: Exception) -> Response:
    """Return 503 if the same request may pass later; any other error is ours, and raised again for a 500."""
    if not is_temporary(error):
        raise error
    log.warning("database.request_failed", error=type(error).__name__)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return problem_response(UnavailableError("the database does not answer now; try again", headers=headers))


async def _answer_disconnected(_request: Request, _error: Exception) -> Response:
    """Return the 400 that is counted when a client disconnects within its body; no client receives it."""
    return problem_response(BadRequestError("the body is not whole"))
