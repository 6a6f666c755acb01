"""Caller identities: tokens that the gateway signs for each request, and their verification.

An identity is an EdDSA JWT of type `mainstem-identity+jwt`: audience = the service, subject = the caller,
`scope` = what it may, a minute to live. It lives by machine time.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import jwt
import structlog

from mainstem.common.errors import UnauthorizedError, UnavailableError
from mainstem.common.http.client import Client, open_client
from mainstem.common.http.transport import NoAnswerError
from mainstem.common.settings import SettingsError

TYPE = "mainstem-identity+jwt"
ALGORITHM = "EdDSA"
LIFETIME_SECONDS = 60
LEEWAY_SECONDS = 5
REFRESH_COOLDOWN_SECONDS = 5.0
FIRST_REFRESH_COOLDOWN_SECONDS = 0.5
REMEMBERED = 1_024

log = structlog.get_logger()


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


class KeySet:
    """The gateway's public keys by id, asked for again when an unknown id turns up.

    A failed refresh keeps the keys at hand. Ids that the gateway does not publish cause one request in five
    seconds at most; an id that was found delays nothing, so that two rotations in a row are both seen.
    """

    def __init__(self, client: Client, url: str) -> None:
        self._client = client
        self._url = url
        self._keys: dict[str, jwt.PyJWK] = {}
        self._next_refresh = 0.0
        self._lock = asyncio.Lock()

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key, or None if the gateway does not publish it.

        Raises:
            UnavailableError: there are no keys at all, since the gateway was never reached.
        """
        if key_id not in self._keys:
            async with self._lock:
                if key_id not in self._keys and time.monotonic() >= self._next_refresh:
                    await self._refresh()
                    if key_id not in self._keys:
                        cooldown = REFRESH_COOLDOWN_SECONDS if self._keys else FIRST_REFRESH_COOLDOWN_SECONDS
                        self._next_refresh = time.monotonic() + cooldown
        if not self._keys:
            raise UnavailableError("the keys that sign identities could not be read")
        return self._keys.get(key_id)

    async def _refresh(self) -> None:
        try:
            answer = await self._client.request("GET", self._url, attempts=3)
            keys = jwt.PyJWKSet.from_dict(answer.json() if answer.is_success else {}).keys
        except (NoAnswerError, UnavailableError, jwt.PyJWTError, ValueError) as error:
            log.warning("identity_keys.refresh_failed", error=type(error).__name__)
        else:
            self._keys = {key.key_id: key for key in keys if key.key_id}


class Verifier:
    """Tells whose request it is, for one service. Remembers what it verified until that expires."""

    def __init__(self, keys: KeySet, audience: str) -> None:
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


@asynccontextmanager
async def open_verifier(service: str, jwks_url: str | None) -> AsyncIterator[Verifier]:
    """Open the verifier of a service's callers.

    Raises:
        SettingsError: nobody said where the gateway's keys are.
    """
    if jwks_url is None:
        raise SettingsError(["MAINSTEM_IDENTITY_JWKS_URL: needed to verify who calls"])
    async with open_client("gateway") as client:
        yield Verifier(KeySet(client, jwks_url), service)
