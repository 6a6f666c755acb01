"""The gateway's edges: `/token`, the published keys, and every other path, which is forwarded by its rule."""

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from mainstem.common.errors import BadRequestError, ForbiddenError, TooManyRequestsError
from mainstem.common.http import app as web
from mainstem.common.http.endpoint import Endpoint
from mainstem.gateway.keys.ring import KeyRing
from mainstem.gateway.proxy.forward import Proxy
from mainstem.gateway.proxy.headers import read_host
from mainstem.gateway.routes.table import JWKS_PATH, TOKEN_PATH, RouteTable
from mainstem.gateway.tokens.access import Issuer, ScopeError
from mainstem.gateway.tokens.callers import Callers
from mainstem.gateway.tokens.credentials import FORM, CredentialsError, GrantError, parse_form
from mainstem.gateway.tokens.identities import Identities

FORM_LIMIT_BYTES = 16 * 1024

log = structlog.get_logger()


class State(web.State):
    """What the gateway's lifespan gives to every request."""

    ring: KeyRing
    issuer: Issuer
    callers: Callers
    identities: Identities
    table: RouteTable
    proxy: Proxy


TOKEN = Endpoint(
    "POST",
    TOKEN_PATH,
    answers={200: "an access token"},
    errors=(BadRequestError, CredentialsError, ScopeError, GrantError, TooManyRequestsError),
    public=True,
    # Longer than a login waits for its turn at hashing.
    timeout=25.0,
    body_limit=FORM_LIMIT_BYTES,
)
JWKS = Endpoint("GET", JWKS_PATH, answers={200: "the public keys"}, public=True)
ENDPOINTS = (TOKEN, JWKS)


@TOKEN.handler
async def issue_token(request: Request) -> Response:
    """Give a token for client credentials (RFC 6749, 4.4), by form or Basic."""
    issuer: Issuer = request.state["issuer"]
    host = "" if request.client is None else request.client.host
    token = await issuer.issue(await _form(request), request.headers.get("authorization"), host)
    return JSONResponse(token, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


@JWKS.handler
async def list_keys(request: Request) -> Response:
    """List the public keys of access tokens and identities (RFC 7517)."""
    ring: KeyRing = request.state["ring"]
    headers = {"Cache-Control": f"public, max-age={ring.cached_seconds}"}
    return JSONResponse({"keys": ring.published()}, headers=headers)


async def forward(scope: Scope, receive: Receive, send: Send) -> None:
    """Forward a request to its upstream, if a route has its method and path and its caller has the scope."""
    read_host(scope["headers"])
    state: State = scope["state"]
    route = state["table"].match(scope["method"], scope["raw_path"])
    scope["route"] = route  # what the request's log line names
    identity = await _identity(state, scope, route.scope, route.upstream)
    await state["proxy"].forward(route, identity, scope, receive, send)


async def _identity(state: State, scope: Scope, needed: str | None, upstream: str) -> str | None:
    """Return what tells the upstream who calls; None on a public route.

    Raises:
        UnauthorizedError: nobody known.
        ForbiddenError: somebody who lacks the scope.
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


async def _form(request: Request) -> dict[str, str]:
    return parse_form(request.headers.get("content-type", FORM), await request.body())
