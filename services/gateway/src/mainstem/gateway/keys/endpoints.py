"""JWKS endpoint: the public keys that verify access tokens and identities (RFC 7517)."""

from typing import TypedDict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mainstem.common.http.endpoint import Endpoint
from mainstem.gateway.keys.ring import KeyRing
from mainstem.gateway.routes.table import JWKS_PATH


class KeyState(TypedDict):
    """Request state that the JWKS endpoint reads."""

    ring: KeyRing


JWKS = Endpoint("GET", JWKS_PATH, answers={200: "the public keys"}, public=True)
ENDPOINTS = (JWKS,)


@JWKS.handler
async def list_keys(request: Request[KeyState]) -> Response:
    """List the public keys, cacheable for as long as a new key is published before it signs."""
    ring = request.state["ring"]
    headers = {"Cache-Control": f"public, max-age={ring.cached_seconds}"}
    return JSONResponse({"keys": ring.published()}, headers=headers)
