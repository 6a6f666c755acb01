"""Access tokens of Acoustic Campaign: fetched by the refresh token, renewed before they end."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from mainstem.common.http.calls.breaker import CircuitOpenError
from mainstem.common.http.calls.client import Client
from mainstem.common.http.calls.upstream import NoAnswerError
from mainstem.sync.platforms.protocol import SendError

TOKEN_SECONDS = 3 * 3_600.0
TOKEN_MARGIN_SECONDS = 60.0
TOKEN_TRIAL_SECONDS = 1.0

NO_ANSWER = (NoAnswerError, CircuitOpenError, TimeoutError)
"""Errors after which it is not known whether Acoustic saw the request."""


@dataclass(frozen=True)
class AcousticAccount:
    """One account at Acoustic: what grants its tokens, and the ids of its tables."""

    client_id: str
    client_secret: str
    refresh_token: str
    main_table: str
    product_table: str


class AcousticTokens:
    """The access token: asked for once, kept for three hours of machine time."""

    def __init__(
        self,
        client: Client,
        account: AcousticAccount,
        machine_time: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._account = account
        self._machine_time = machine_time
        self._token = ""
        self._until = 0.0
        self._refusal = ""
        self._next_trial = 0.0
        self._lock = asyncio.Lock()

    def find(self) -> str | None:
        """Return the token, or None if there is none that should still be good."""
        return self._token if self._token and self._machine_time() < self._until else None

    async def ensure(self) -> None:
        """Have a token; all who ask at once share one request, and its failure.

        Raises:
            SendError: Acoustic grants none.
        """
        async with self._lock:
            if self.find() is not None:
                return
            if self._machine_time() < self._next_trial:
                raise SendError(self._refusal)
            try:
                await self._refresh()
            except (*NO_ANSWER, ValueError, LookupError, TypeError) as error:
                self._refusal = f"no token: {type(error).__name__}"
                self._next_trial = self._machine_time() + TOKEN_TRIAL_SECONDS
                raise SendError(self._refusal) from None

    def forget(self, token: str) -> None:
        """Have the next one ask anew, unless somebody already did."""
        if token == self._token:
            self._token = ""

    async def _refresh(self) -> None:
        form = {
            "grant_type": "refresh_token",
            "client_id": self._account.client_id,
            "client_secret": self._account.client_secret,
            "refresh_token": self._account.refresh_token,
        }
        answer = await self._client.request("POST", "/oauth/token", form=form)
        if not answer.is_success:
            raise ValueError(f"HTTP {answer.status}")
        granted = answer.json()
        lifetime = float(granted.get("expires_in", TOKEN_SECONDS)) - TOKEN_MARGIN_SECONDS
        self._token = str(granted["access_token"])
        self._until = self._machine_time() + min(TOKEN_SECONDS, lifetime)
