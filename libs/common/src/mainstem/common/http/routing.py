"""Routing: identity, scope, limits and handler of each request, in one pass, from its declaration."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from mainstem.common.errors import (
    BodyTimeoutError,
    ForbiddenError,
    MainstemError,
    UnauthorizedError,
    UnavailableError,
)
from mainstem.common.http.endpoint import Endpoint
from mainstem.common.http.identity import Principal, Verifier
from mainstem.common.http.requests.budget import Budget, Holding
from mainstem.common.http.requests.disconnect import DisconnectWatch
from mainstem.common.http.requests.reading import check_declared, read_body
from mainstem.common.telemetry import metrics

RETRY_AFTER_SECONDS = 5

log = structlog.get_logger()
timed_out = metrics.meter().create_counter(
    "mainstem_requests_timed_out",
    description="Requests answered with 503 since their handler took longer than its endpoint allows.",
)


class EndpointRoute(Route):
    """Route of one endpoint.

    Args:
        endpoint: declaration, with its handler.
        siblings: all endpoints of the same path, itself included.
        budget: what all requests of the process share.
    """

    def __init__(self, endpoint: Endpoint, siblings: Sequence[Endpoint], budget: Budget) -> None:
        if endpoint.function is None:
            raise ValueError(f"{endpoint.method} {endpoint.path}: no handler")
        super().__init__(endpoint.path, endpoint.function, methods=[endpoint.method])
        self.declaration = endpoint
        self.is_public = all(one.public for one in siblings)
        """Whether no endpoint of this path needs an identity."""
        self._function = endpoint.function
        self._limit_bytes = endpoint.limit_bytes
        methods = {one.method for one in siblings}
        self._allowed = ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))
        self._budget = budget

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of this path: of this endpoint, or of a method that no endpoint has."""
        is_ours = scope["method"] in (self.methods or ())
        caller = None
        if not (self.declaration.public if is_ours else self.is_public):
            caller = await identify(scope)
        if not is_ours:
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": self._allowed})
        if caller is not None:
            demand_scope(caller, self.declaration)
        check_declared(scope["headers"], self._limit_bytes)
        holding = Holding(self._budget, _name(caller, scope))
        try:
            response = await self._respond(scope, receive, send, holding)
            await response(scope, receive, send)
        finally:
            holding.release()

    async def _respond(self, scope: Scope, receive: Receive, send: Send, holding: Holding) -> Response:
        """Read the body, then run the handler; both within the endpoint's timeout.

        A handler of a GET is cancelled when its client leaves; others may be in the middle of a commit.

        Raises:
            ClientDisconnect: the client left.
            BodyTimeoutError: the body did not arrive in time.
            UnavailableError: the handler did not answer in time; it was cancelled.
        """
        body = None
        try:
            async with asyncio.timeout(self.declaration.timeout) as deadline:
                body = await read_body(receive, self._limit_bytes, holding.add)
                request = WholeRequest(scope, receive, send, body)
                if self.declaration.method != "GET":
                    return await self._function(request)
                with DisconnectWatch(receive):
                    return await self._function(request)
        except MainstemError:
            raise
        except Exception as error:
            # A handler may turn its cancellation into an error of its own, as database drivers do.
            if not deadline.expired():
                raise
            raise self._late(has_body=body is not None) from error

    def _late(self, *, has_body: bool) -> MainstemError:
        seconds = self.declaration.timeout
        if not has_body:
            return BodyTimeoutError(
                f"the body did not arrive within {seconds:g} seconds; send the request again",
                headers={"Connection": "close"},
            )
        timed_out.add(1, {"http.route": self.path})
        log.warning("handler.cancelled", route=self.path, seconds=seconds)
        return UnavailableError(
            f"the request took longer than {seconds:g} seconds; send it again later",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )


class WholeRequest(Request):
    """Request whose body has been read."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        super().__init__(scope, receive, send)
        self._body = body


def routes_of(endpoints: Sequence[Endpoint], budget: Budget) -> Sequence[EndpointRoute]:
    """Return the routes of a process, in the order of their endpoints.

    Raises:
        ValueError: an endpoint is there twice, or has no handler.
    """
    siblings: dict[str, list[Endpoint]] = defaultdict(list)
    for endpoint in endpoints:
        if endpoint.method in {one.method for one in siblings[endpoint.shape]}:
            raise ValueError(f"{endpoint.method} {endpoint.path}: declared twice")
        siblings[endpoint.shape].append(endpoint)
    return [EndpointRoute(endpoint, siblings[endpoint.shape], budget) for endpoint in endpoints]


async def answer_unmatched(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a path that no endpoint has: with a redirect if it only has a slash too many, else with 404.

    Without an identity both are 401, unless the redirect leads to a public path.
    """
    route = _without_slash(scope)
    if scope["state"]["identity"] is not None and not (route is not None and route.is_public):
        await identify(scope)
    if route is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    await _redirect(scope)(scope, receive, send)


async def identify(scope: Scope) -> Principal:
    """Return the caller by the identity that the gateway signed; handlers find it as `principal`.

    Raises:
        UnauthorizedError: no identity, or none that holds; or the process verifies none.
        UnavailableError: the gateway's keys could never be read.
    """
    verifier: Verifier | None = scope["state"]["identity"]
    if verifier is None:
        raise UnauthorizedError
    principal = await verifier.verify(Headers(scope=scope).get("authorization"))
    scope["state"]["principal"] = principal
    return principal


def demand_scope(caller: Principal, endpoint: Endpoint) -> None:
    """Check the caller's scopes once more after the gateway, so that no mistake there is enough.

    Raises:
        ForbiddenError: the endpoint's scope is missing.
    """
    needed = endpoint.scope
    if needed not in caller.scopes:
        challenge = f'Bearer error="insufficient_scope", scope="{needed}"'
        log.info("caller.refused", client_allowed=False, auth_fail="Scope missing", scope=needed)
        raise ForbiddenError(f"the scope {needed} is missing", headers={"WWW-Authenticate": challenge})


def _name(caller: Principal | None, scope: Scope) -> str:
    """Return by what the budget tells callers apart: behind the gateway all have one address."""
    if caller is not None:
        return caller.subject
    client = scope.get("client")
    return client[0] if client else ""


def _without_slash(scope: Scope) -> EndpointRoute | None:
    """Return the route of the path without its trailing slashes, if it has any and there is one."""
    # By the bytes: an encoded slash would stay in the redirect's path, which would then lead to itself.
    if not scope["raw_path"].endswith(b"/"):
        return None
    path: str = scope["path"].rstrip("/")
    router: Router = scope["router"]
    routes = (route for route in router.routes if isinstance(route, EndpointRoute))
    return next((route for route in routes if route.path_regex.match(path)), None)


def _redirect(scope: Scope) -> Response:
    """Return the redirect to a path, never to a host: the request's `Host` is the caller's to choose."""
    path, query = scope["raw_path"].strip(b"/"), scope["query_string"]
    return RedirectResponse(f"/{path.decode('latin-1')}{'?' if query else ''}{query.decode('latin-1')}")
