"""Access tokens of the Acoustic stand-in: granted for the refresh token, good for four hours."""

import hmac
import math
import secrets
import time
from collections.abc import Callable, Mapping

import msgspec

from mainstem.sandbox.acoustic.account import AcousticAccount
from mainstem.sandbox.stand_ins.archive import Archive

LIFETIME_SECONDS = 14_400
REISSUE_AFTER_SECONDS = 10_800
"""A younger token is answered again instead of a new one.

https://developer.goacoustic.com/acoustic-campaign/reference/oauth-token-creation-in-php
"""


_KIND = "_token"


class TokenRefusedError(Exception):
    """The request for a token is not answered with one."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description


class Tokens:
    """The tokens granted so far, kept in the archive.

    They live by machine time, whatever the world's clock does: since 1970, for those who outlive a machine.
    """

    def __init__(
        self,
        account: AcousticAccount,
        machine_time: Callable[[], float] = time.time,
        *,
        archive: Archive | None = None,
    ) -> None:
        self._account = account
        self._machine_time = machine_time
        self._archive = archive or Archive()
        self._granted = {
            row.id: msgspec.json.decode(row.body, type=float) for row in self._archive.rows(_KIND)
        }

    def grant(self, form: Mapping[str, str]) -> dict[str, str | int]:
        """Return OAuth's answer to a request for a token.

        Raises:
            TokenRefusedError: the grant type or a credential is wrong.
        """
        self._check(form)
        token, granted = self._current()
        left = math.ceil(granted + LIFETIME_SECONDS - self._machine_time())
        return {"access_token": token, "token_type": "bearer", "expires_in": left}

    def accepts(self, authorization: str) -> bool:
        """Return whether the value of an `Authorization` header carries a token that is still good."""
        scheme, _, token = authorization.partition(" ")
        granted = self._granted.get(token.strip())
        alive = granted is not None and self._machine_time() < granted + LIFETIME_SECONDS
        return alive and scheme.lower() == "bearer"

    def _check(self, form: Mapping[str, str]) -> None:
        if form.get("grant_type") != "refresh_token":
            raise TokenRefusedError(400, "unsupported_grant_type", "The grant type must be refresh_token.")
        client = _same(form, "client_id", self._account.client_id)
        if not (_same(form, "client_secret", self._account.client_secret) and client):
            raise TokenRefusedError(401, "invalid_client", "The client's credentials are wrong.")
        if not _same(form, "refresh_token", self._account.refresh_token):
            raise TokenRefusedError(400, "invalid_grant", "The refresh token is not valid.")

    def _current(self) -> tuple[str, float]:
        now = self._machine_time()
        for token, granted in self._granted.items():
            if now < granted + REISSUE_AFTER_SECONDS:
                return token, granted
        token = secrets.token_urlsafe(24)
        self._granted[token] = now
        self._archive.put(_KIND, token, now)
        return token, now


def _same(form: Mapping[str, str], name: str, expected: str) -> bool:
    return hmac.compare_digest(form.get(name, "").encode(), expected.encode())
