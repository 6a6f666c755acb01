"""Access tokens: who gets one for which credentials, what it says, and whether it holds.

A token is an EdDSA JWT of type `at+jwt` for the gateway itself; it lives an hour, by machine time.
"""

import base64
import binascii
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import jwt
import structlog
from uuid_utils import uuid4

from mainstem.common.errors import BadRequestError, InvalidError
from mainstem.gateway.clients import ApiClient
from mainstem.gateway.directory import Directory
from mainstem.gateway.hashes import Comparison
from mainstem.gateway.keyring import KeyRing
from mainstem.gateway.keys import TOKEN_SECONDS

TYPE = "at+jwt"
ALGORITHM = "EdDSA"
ISSUER = "mainstem-gateway"
AUDIENCE = "mainstem-gateway"
NAMESPACE = "api_client"

_GRANTS = "^(client_credentials|refresh_token)$"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client shows, and where it stood. The secret is in no representation."""

    client_id: str
    client_secret: str = field(repr=False)
    source: Literal["form", "header"]


class Token(TypedDict):
    """The answer to a client that gets one."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int
    scope: str


class CredentialsError(BadRequestError):
    """The credentials will not do. Which part of them is wrong is for the log alone."""

    def __init__(self) -> None:
        super().__init__("Incorrect username or password", error="invalid_client")


class ScopeError(BadRequestError):
    """The client asks for nothing that it may have."""

    def __init__(self) -> None:
        super().__init__("none of the scopes is granted to this client", error="invalid_scope")


class GrantError(InvalidError):
    """The client asks for a token in a way that is not served."""

    def __init__(self) -> None:
        problem = f'string does not match regex "{_GRANTS}"'
        super().__init__(
            "grant_type must be client_credentials",
            [{"loc": ["body", "grant_type"], "msg": problem, "type": "value_error.str.regex"}],
        )
        self.members["error"] = "unsupported_grant_type"


class TokenError(Exception):
    """The token is none of ours, or does not hold any more."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token that holds says."""

    subject: str
    scopes: frozenset[str]
    key_id: str
    expires_at: float
    """Seconds since the epoch."""


class Issuer:
    """Gives tokens to clients who know their secret."""

    def __init__(self, directory: Directory, comparison: Comparison, ring: KeyRing) -> None:
        self._directory = directory
        self._comparison = comparison
        self._ring = ring

    async def issue(self, form: Mapping[str, str], authorization: str | None) -> Token:
        """Return a token for what a client sent: a form, and maybe an `Authorization` header.

        Raises:
            GrantError: another kind of grant is asked for.
            CredentialsError: no credentials, or wrong ones, or of a client that is disabled.
            ScopeError: no scope is left.
        """
        grant = form.get("grant_type")
        if grant and not re.fullmatch(_GRANTS, grant):
            raise GrantError
        client = await self._authenticate(credentials_of(form, authorization))
        asked = frozenset(form.get("scope", "").split())
        scopes = client.scopes & asked if asked else client.scopes
        if not scopes:
            raise ScopeError
        return self._sign(client.client_id, " ".join(sorted(scopes)))

    async def _authenticate(self, credentials: Credentials | None) -> ApiClient:
        if credentials is None:
            log.info("token.refused", token_fail="No credentials")  # noqa: S106 -- the reason
            raise CredentialsError
        client = await self._directory.read(credentials.client_id)
        # Compared in every case, so that the time an answer takes does not tell which clients there are.
        is_right = await self._comparison.matches(
            credentials.client_secret, None if client is None else client.secret_hash
        )
        reason = _reason(client, is_right=is_right)
        if client is None or reason is not None:
            fields = {} if client is None else {"client_id": client.client_id}
            log.info("token.refused", token_fail=reason, token_creds_from=credentials.source, **fields)
            raise CredentialsError
        log.info("token.issued", client_id=client.client_id, token_creds_from=credentials.source)
        return client

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


def _reason(client: ApiClient | None, *, is_right: bool) -> str | None:
    if client is None:
        return "No client record"
    if not client.enabled:
        return "Client disabled"
    return None if is_right else "Bad credentials"


def credentials_of(form: Mapping[str, str], authorization: str | None) -> Credentials | None:
    """Return the credentials that a request carries, or None; a form with both parts wins over the header."""
    if form.get("client_id") and form.get("client_secret"):
        return Credentials(form["client_id"], form["client_secret"], "form")
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return Credentials(client_id, secret, "header") if colon else None


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
