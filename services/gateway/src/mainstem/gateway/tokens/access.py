"""Access tokens: issue for client credentials, claims, verification.

A token is an EdDSA JWT of type `at+jwt` for the gateway itself; it lives an hour, by machine time.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import jwt
import structlog
from uuid_utils import uuid4

from mainstem.common.errors import BadRequestError
from mainstem.gateway.keys.ring import KeyRing
from mainstem.gateway.keys.storage import TOKEN_SECONDS
from mainstem.gateway.tokens.attempts import network_of
from mainstem.gateway.tokens.authentication import Authentication, LoginAttempt
from mainstem.gateway.tokens.credentials import CredentialsError, check_grant, credentials_of

TYPE = "at+jwt"
ALGORITHM = "EdDSA"
ISSUER = "mainstem-gateway"
AUDIENCE = "mainstem-gateway"
NAMESPACE = "api_client"

log = structlog.get_logger()


class Token(TypedDict):
    """The answer to a client that gets one."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int
    scope: str


class ScopeError(BadRequestError):
    """The client asks for nothing that it may have."""

    def __init__(self) -> None:
        super().__init__("none of the scopes is granted to this client", error="invalid_scope")


class TokenError(Exception):
    """The token is none of ours, or does not hold any more."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims of a valid access token."""

    subject: str
    scopes: frozenset[str]
    key_id: str
    expires_at: float
    """Seconds since the epoch."""


class Issuer:
    """Gives tokens to clients who know their secret."""

    def __init__(self, authentication: Authentication, ring: KeyRing) -> None:
        self._authentication = authentication
        self._ring = ring

    async def issue(self, form: Mapping[str, str], authorization: str | None, host: str) -> Token:
        """Return a token for what a client sent: a form, and maybe an `Authorization` header.

        Args:
            form: what `parse_form` returned.
            authorization: the header.
            host: the client's address, empty if unknown.

        Raises:
            BadRequestError: the grant is missing, or something is too long.
            GrantError: another kind of grant is requested.
            CredentialsError: no credentials, or wrong ones, or of a client that is disabled.
            TooManyRequestsError: too many attempts failed before, or too many wait.
            ScopeError: no scope is left.
        """
        check_grant(form)
        credentials = credentials_of(form, authorization)
        if credentials is None:
            log.info("token.refused", token_fail="No credentials")  # noqa: S106 -- the reason
            raise CredentialsError
        client = await self._authentication.authenticate(LoginAttempt(credentials, network_of(host)))
        asked = frozenset(form.get("scope", "").split())
        scopes = client.scopes & asked if asked else client.scopes
        if not scopes:
            raise ScopeError
        log.info("token.issued", client_id=client.client_id, token_creds_from=credentials.source)
        return self._sign(client.client_id, " ".join(sorted(scopes)))

    def _sign(self, client_id: str, scope: str) -> Token:
        key_id, key = self._ring.signing()
        issued_at = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": f"{NAMESPACE}:{client_id}",
            "iat": issued_at,
            "exp": issued_at + TOKEN_SECONDS,
            "jti": str(uuid4()),
            "scope": scope,
        }
        token = jwt.encode(claims, key, algorithm=ALGORITHM, headers={"typ": TYPE, "kid": key_id})
        return {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": TOKEN_SECONDS,
            "scope": scope,
        }


async def read(token: str, ring: KeyRing) -> Claims:
    """Return what an access token says.

    Raises:
        TokenError: it does not hold.
    """
    try:
        header = jwt.get_unverified_header(token)
        key_id = str(header.get("kid"))
        key = await ring.find(key_id)
        if key is None or header.get("typ") != TYPE:
            raise TokenError
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            # `iat` is not compared: the gateway that signed may be a little ahead of this one.
            options={"require": ["exp", "iat", "sub", "aud", "iss"], "verify_iat": False},
        )
    except jwt.PyJWTError as error:
        raise TokenError from error
    return Claims(claims["sub"], frozenset(str(claims.get("scope", "")).split()), key_id, claims["exp"])
