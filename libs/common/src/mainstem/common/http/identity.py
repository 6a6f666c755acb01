"""Caller identities: tokens that the gateway signs for each request, and their verification.

An identity is an EdDSA JWT of type `mainstem-identity+jwt`: audience = the service, subject = the caller,
`scope` = what it may, a minute to live. It lives by machine time.
"""

import time
from dataclasses import dataclass
from typing import Any, Protocol

import jwt

from mainstem.common.errors import UnauthorizedError

TYPE = "mainstem-identity+jwt"
ALGORITHM = "EdDSA"
LIFETIME_SECONDS = 60
LEEWAY_SECONDS = 5
REMEMBERED = 1_024


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller: `subject` as in `api_client:demo`, and the scopes it was granted."""

    subject: str
    scopes: frozenset[str]


def read_bearer(authorization: str | None) -> str:
    """Return the token of an `Authorization` header: `Bearer`, one or more spaces, token (RFC 9110, 11.4).

    Raises:
        UnauthorizedError: there is none.
    """
    scheme, _, token = (authorization or "").strip(" \t").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise UnauthorizedError
    return token.lstrip(" ")


class Keys(Protocol):
    """Public keys by which identities are verified."""

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key, or None if the gateway does not publish it.

        Raises:
            UnavailableError: no keys could be read yet.
        """
        ...


class Verifier:
    """Verifier of identities for one service. Caches verified tokens until they expire."""

    def __init__(self, keys: Keys, audience: str) -> None:
        self._keys = keys
        self._audience = audience
        self._remembered: dict[str, tuple[float, Principal]] = {}

    async def verify(self, authorization: str | None) -> Principal:
        """Return whose identity the `Authorization` header carries.

        Raises:
            UnauthorizedError: none, or none that holds.
            UnavailableError: the gateway's keys could never be read.
        """
        token = read_bearer(authorization)
        remembered = self._remembered.get(token)
        if remembered is not None and remembered[0] > time.time():
            return remembered[1]
        return await self._verify_token(token)

    async def _verify_token(self, token: str) -> Principal:
        try:
            header = jwt.get_unverified_header(token)
            key = await self._keys.find(str(header.get("kid")))
            if key is None or header.get("typ") != TYPE:
                raise UnauthorizedError("Could not validate credentials")
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "sub", "aud"]},
            )
        except jwt.PyJWTError:
            raise UnauthorizedError("Could not validate credentials") from None
        return self._remember(token, claims)

    def _remember(self, token: str, claims: dict[str, Any]) -> Principal:
        principal = Principal(claims["sub"], frozenset(str(claims.get("scope", "")).split()))
        while len(self._remembered) >= REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[token] = (float(claims["exp"]), principal)
        return principal
