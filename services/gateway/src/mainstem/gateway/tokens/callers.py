"""Authentication of requests: from the `Authorization` header to a principal that may still call."""

import time
from collections import OrderedDict

import structlog

from mainstem.common.errors import BadRequestError, UnauthorizedError
from mainstem.common.http.identity import Principal, read_bearer
from mainstem.gateway.clients.directory import Directory
from mainstem.gateway.keys.ring import KeyRing
from mainstem.gateway.tokens import access as tokens
from mainstem.gateway.tokens.access import Claims, TokenError

REMEMBERED = 10_000

log = structlog.get_logger()


class Callers:
    """Tells who calls. Remembers tokens that it verified until they expire, the latest ten thousand."""

    def __init__(self, directory: Directory, ring: KeyRing, *, capacity: int = REMEMBERED) -> None:
        self._directory = directory
        self._capacity = capacity
        self._ring = ring
        self._remembered: OrderedDict[str, Claims] = OrderedDict()

    async def identify(self, authorization: str | None) -> Principal:
        """Return whose token the `Authorization` header carries, with the scopes that both still grant.

        Raises:
            UnauthorizedError: no token, one that does not hold, or of a client that is gone.
            BadRequestError: the client is disabled.
        """
        claims = await self._claims(read_bearer(authorization))
        namespace, colon, client_id = claims.subject.partition(":")
        if not colon:
            raise _refused("No or bad token")
        if namespace != tokens.NAMESPACE:
            raise _refused("Bad namespace")
        return await self._principal(client_id, claims)

    async def _principal(self, client_id: str, claims: Claims) -> Principal:
        client = await self._directory.find(client_id)
        if client is None:
            raise _refused("No client record")
        if not client.enabled:
            log.info("caller.refused", client_allowed=False, auth_fail="Client disabled", client_id=client_id)
            raise BadRequestError("API Client has been disabled")
        return Principal(claims.subject, claims.scopes & client.scopes)

    async def _claims(self, token: str) -> Claims:
        claims = self._remembered.get(token)
        if claims is not None and claims.expires_at > time.time() and self._ring.holds(claims.key_id):
            return claims
        self._remembered.pop(token, None)
        try:
            claims = await tokens.read(token, self._ring)
        except TokenError:
            raise _refused("No or bad token") from None
        while len(self._remembered) >= self._capacity:
            self._remembered.popitem(last=False)
        self._remembered[token] = claims
        return claims


def _refused(reason: str) -> UnauthorizedError:
    log.info("caller.refused", client_allowed=False, auth_fail=reason)
    return UnauthorizedError("Could not validate credentials")
