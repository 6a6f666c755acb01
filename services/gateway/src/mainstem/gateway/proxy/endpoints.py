"""Proxy endpoint: every path that no endpoint has, forwarded by its rule after authentication."""

from typing import TypedDict

import structlog
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from mainstem.common.errors import ForbiddenError
from mainstem.gateway.proxy.forward import Proxy
from mainstem.gateway.proxy.headers import read_host
from mainstem.gateway.routes.table import RouteTable
from mainstem.gateway.tokens.callers import Callers
from mainstem.gateway.tokens.identities import IdentitySigner

log = structlog.get_logger()


class ProxyState(TypedDict):
    """Request state that the proxy endpoint reads."""

    callers: Callers
    identities: IdentitySigner
    table: RouteTable
    proxy: Proxy


async def forward(scope: Scope, receive: Receive, send: Send) -> None:
    """Forward a request to its upstream, if a route has its method and path and its caller has the scope."""
    read_host(scope["headers"])
    state: ProxyState = scope["state"]
    route = state["table"].match(scope["method"], scope["raw_path"])
    scope["route"] = route  # what the request's log line names
    identity = await _identity(state, scope, route.scope, route.upstream)
    await state["proxy"].forward(route, identity, scope, receive, send)


async def _identity(state: ProxyState, scope: Scope, needed: str | None, upstream: str) -> str | None:
    """Return the signed identity of the caller for the upstream; None on a public route.

    Raises:
        UnauthorizedError: no valid token.
        ForbiddenError: a valid token without the scope.
    """
    if needed is None:
        return None
    principal = await state["callers"].identify(Request(scope).headers.get("authorization"))
    if needed not in principal.scopes:
        challenge = f'Bearer error="insufficient_scope", scope="{needed}"'
        log.info("caller.refused", client_allowed=False, auth_fail="Scope missing", scope=needed)
        raise ForbiddenError(f"the scope {needed} is missing", headers={"WWW-Authenticate": challenge})
    # For the request's own log line, as the specification of CTMS has it.
    client_id = principal.subject.partition(":")[2]
    structlog.contextvars.bind_contextvars(client_allowed=True, client_id=client_id)
    return state["identities"].sign(principal, upstream)
