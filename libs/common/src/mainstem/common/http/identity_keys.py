"""Key set of identities: the gateway's public keys, fetched at first use and after a rotation."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jwt
import structlog

from mainstem.common.errors import UnavailableError
from mainstem.common.http.calls.client import Client, open_client
from mainstem.common.http.calls.upstream import NoAnswerError
from mainstem.common.http.identity import Verifier
from mainstem.common.settings import SettingsError

REFRESH_COOLDOWN_SECONDS = 5.0
FIRST_REFRESH_COOLDOWN_SECONDS = 0.5

log = structlog.get_logger()


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
