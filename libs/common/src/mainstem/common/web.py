"""The HTTP side of every process: one app shape, health on four paths, errors in one form, identity checked.

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
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from mainstem.common import telemetry
from mainstem.common.errors import PROBLEM, BadRequestError, ContentTooLargeError, MainstemError
from mainstem.common.health import Check
from mainstem.common.identity import Verifier
from mainstem.common.requests import Requests, problem_response
from mainstem.common.server import Ending, Server, configuration
from mainstem.common.settings import ServiceSettings

BODY_LIMIT = 1024 * 1024
HEALTH_PATHS = ("/__lbheartbeat__", "/__heartbeat__", "/__version__", "/metrics")

log = structlog.get_logger()


class State(TypedDict):
    """What a service's lifespan gives to every request, at least."""

    identity: Verifier | None
    checks: Mapping[str, Check]


def build_app(
    service: str,
    *,
    routes: Sequence[BaseRoute],
    lifespan: Lifespan[Starlette],
    public: Sequence[str] = (),
    body_limit: int | None = BODY_LIMIT,
) -> Starlette:
    """Return a service's app.

    Args:
        service: its name, in telemetry and `/__version__`.
        routes: its endpoints.
        lifespan: opens what the endpoints need, as a `State`; with `identity` None nothing is demanded here.
        public: path prefixes that need no identity, since their callers sign what they send.
        body_limit: bytes; None where each route limits for itself.
    """
    app = Starlette(
        routes=[*_health_routes(service), *routes],
        middleware=[
            Middleware(Requests, untold=HEALTH_PATHS),
            Middleware(IdentityCheck, public=(*HEALTH_PATHS, *public)),
            *([] if body_limit is None else [Middleware(BodyLimit, limit=body_limit)]),
        ],
        exception_handlers={
            MainstemError: _answer_error,
            HTTPException: _answer_http_exception,
            ClientDisconnect: _answer_nobody,
        },
        lifespan=_flushed(lifespan),
    )
    app.state.ending = Ending()
    return app


def serve(app: Starlette, settings: ServiceSettings) -> None:
    """Serve what `build_app` returned until SIGTERM or SIGINT, then end what is under way."""
    config = configuration(app, settings)
    with suppress(KeyboardInterrupt):
        Server(config, app.state.ending, drain_seconds=settings.drain_seconds).run()


class IdentityCheck:
    """Lets nobody in without an identity that the gateway signed, except on public paths.

    A public path that ends in a slash stands for all that are below it.
    """

    def __init__(self, app: ASGIApp, public: Sequence[str]) -> None:
        self._app = app
        self._paths = frozenset(public)
        self._folders = tuple(one for one in public if one.endswith("/"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and not self._is_public(scope["path"]):
            verifier: Verifier | None = scope["state"]["identity"]
            if verifier is not None:
                try:
                    authorization = Headers(scope=scope).get("authorization")
                    scope["state"]["principal"] = await verifier.verify(authorization)
                except MainstemError as error:
                    await problem_response(error)(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    def _is_public(self, path: str) -> bool:
        return path in self._paths or path.startswith(self._folders)


class BodyLimit:
    """Reads no more of a body than its limit in bytes; one that is longer is answered with 413.

    Starlette's own limit answers in plain text.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        declared = Headers(scope=scope).get("content-length", "0") if scope["type"] == "http" else "0"
        if declared.isdecimal() and int(declared) > self._limit:
            await problem_response(self._refusal())(scope, receive, send)
            return
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise self._refusal()
            return message

        await self._app(scope, receive_within_limit, send)

    def _refusal(self) -> ContentTooLargeError:
        return ContentTooLargeError(f"the body may have {self._limit} bytes at most")


def _flushed(lifespan: Lifespan[Starlette]) -> Lifespan[Starlette]:
    """Return a lifespan that sends the last spans at its end; the signal then ends the process at once."""

    @asynccontextmanager
    async def flushed(app: Starlette) -> AsyncIterator[Any]:
        async with lifespan(app) as state:
            yield state
        telemetry.flush()

    return flushed


def _health_routes(service: str) -> list[Route]:
    async def version_of(_request: Request) -> Response:
        return JSONResponse(
            {
                "source": "mainstem",
                "service": service,
                "version": version("mainstem-common"),
                "commit": os.environ.get("MAINSTEM_COMMIT", ""),
                "build": os.environ.get("MAINSTEM_BUILD", ""),
            }
        )

    return [
        Route("/__lbheartbeat__", _is_alive, methods=["GET"]),
        Route("/__heartbeat__", _is_ready, methods=["GET"]),
        Route("/__version__", version_of, methods=["GET"]),
        Route("/metrics", _metrics, methods=["GET"]),
    ]


async def _is_alive(_request: Request) -> Response:
    return JSONResponse({"status": "OK"})


async def _is_ready(request: Request) -> Response:
    """Ask every check. What is needed and down makes it a 503, and so does that the process is to end."""
    ending: Ending = request.app.state.ending
    details: dict[str, Any] = {"serving": {"up": False, "time_ms": 0}} if ending.has_begun else {}
    is_ready = not ending.has_begun
    checks: Mapping[str, Check] = request.state["checks"]
    for name, check in checks.items():
        started_at = time.monotonic()
        is_up = await _ask(check)
        details[name] = {"up": is_up, "time_ms": round((time.monotonic() - started_at) * 1_000)}
        is_ready = is_ready and (is_up or not check.is_needed)
    return JSONResponse(details, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)


async def _ask(check: Check) -> bool:
    try:
        return await check.ask()
    except Exception as error:  # noqa: BLE001 -- a check that fails in whatever way is an answer: no
        log.warning("heartbeat.check_failed", error=type(error).__name__)
        return False


async def _metrics(_request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _answer_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, MainstemError)  # noqa: S101 -- registered for this class alone
    return problem_response(error)


async def _answer_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for this class alone
    status = HTTPStatus(error.status_code)
    problem = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": error.detail}
    return Response(json.dumps(problem), int(status), headers=error.headers, media_type=PROBLEM)


async def _answer_nobody(_request: Request, _error: Exception) -> Response:
    """Return what is counted for a caller who left before its body was whole: the failure is not ours."""
    return problem_response(BadRequestError("the body is not whole"))
