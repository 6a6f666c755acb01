"""Identities that upstreams get in place of credentials; `common.http.identity` verifies them."""

import time
from collections import OrderedDict

import jwt

from mainstem.common.http.identity import ALGORITHM, LIFETIME_SECONDS, TYPE, Principal
from mainstem.gateway.keys.ring import KeyRing
from mainstem.gateway.tokens.access import ISSUER

REUSED_SECONDS = 30.0
"""For how long one is sent again: at least half of its life is left when the upstream reads it."""

REMEMBERED = 10_000


class IdentitySigner:
    """Signs identities; the same principal and upstream get the same one for half a minute."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._remembered: OrderedDict[tuple[Principal, str], tuple[float, str]] = OrderedDict()

    def sign(self, principal: Principal, audience: str) -> str:
        """Return a token that tells the service `audience` who calls."""
        signed_at, token = self._remembered.get((principal, audience), (0.0, ""))
        if time.time() - signed_at < REUSED_SECONDS:
            return token
        while len(self._remembered) >= REMEMBERED:
            self._remembered.popitem(last=False)
        token = self._sign(principal, audience)
        self._remembered[principal, audience] = (time.time(), token)
        return token

    def _sign(self, principal: Principal, audience: str) -> str:
        key_id, key = self._ring.signing()
        issued_at = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": audience,
            "sub": principal.subject,
            "iat": issued_at,
            "exp": issued_at + LIFETIME_SECONDS,
            "scope": " ".join(sorted(principal.scopes)),
        }
        return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"typ": TYPE, "kid": key_id})
