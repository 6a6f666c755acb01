"""Token endpoint: `POST /token` exchanges client credentials for an access token."""

from typing import TypedDict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mainstem.common.errors import BadRequestError, TooManyRequestsError
from mainstem.common.http.endpoint import Endpoint
from mainstem.gateway.routes.table import TOKEN_PATH
from mainstem.gateway.tokens.access import Issuer, ScopeError
from mainstem.gateway.tokens.credentials import FORM, CredentialsError, GrantError, parse_form

FORM_LIMIT_BYTES = 16 * 1024


class TokenState(TypedDict):
    """Request state that the token endpoint reads."""

    issuer: Issuer


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
ENDPOINTS = (TOKEN,)


@TOKEN.handler
async def issue_token(request: Request[TokenState]) -> Response:
    """Issue a token for client credentials (RFC 6749, 4.4), sent as a form or by Basic."""
    host = "" if request.client is None else request.client.host
    form = parse_form(request.headers.get("content-type", FORM), await request.body())
    token = await request.state["issuer"].issue(form, request.headers.get("authorization"), host)
    return JSONResponse(token, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})
