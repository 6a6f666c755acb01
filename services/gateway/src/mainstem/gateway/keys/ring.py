"""The signing keys as the running gateway holds them: one signs, all that tokens may name are published.

A key is published before it signs, so that a rotation refuses nobody; a failed reload keeps the keys at hand.
"""

import asyncio
import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mainstem.common.database.pool import DATABASE_ERRORS, Transactions
from mainstem.gateway.keys import storage as keys
from mainstem.gateway.keys.storage import TOKEN_SECONDS, SigningKey

RELOAD_SECONDS = 10.0
CACHED_SECONDS = 20.0
"""Upper limit of the time for which clients may cache the published keys."""

UNKNOWN_COOLDOWN_SECONDS = 2.0
"""Unknown key ids cause one reload in this time at most: anybody may send them."""

SKEW_SECONDS = 300.0
"""Largest difference tolerated between the clocks of several gateways."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Pair:
    stored: SigningKey
    private: Ed25519PrivateKey
    public: Ed25519PublicKey


class KeyRing:
    """Keys by id, read again every ten seconds, and when an unknown id turns up.

    Args:
        database: where they are stored.
        ahead_seconds: how long a key is published before it signs. All who read keys do so well within.
    """

    def __init__(self, database: Transactions, *, ahead_seconds: float) -> None:
        self._database = database
        self._ahead = timedelta(seconds=ahead_seconds)
        self._reload_seconds = min(RELOAD_SECONDS, max(ahead_seconds / 6, 0.05))
        self.cached_seconds = int(min(CACHED_SECONDS, ahead_seconds / 3))
        self._pairs: Mapping[str, _Pair] = {}
        self._next_search = 0.0
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Read the keys, and make the first one if there is none."""
        async with self._database.transaction() as connection:
            await keys.ensure(connection, datetime.now(UTC))
        await self._load()

    async def run(self) -> None:
        """Read the keys again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._reload_seconds)
            await self._reload()

    def signing(self) -> tuple[str, Ed25519PrivateKey]:
        """Return the key that signs now, with its id: the newest that readers have had time to learn of."""
        usable_from = datetime.now(UTC) - self._ahead
        pairs = list(self._pairs.values())
        learned = [pair for pair in pairs if pair.stored.created_at <= usable_from]
        pair = learned[-1] if learned else pairs[0]
        return pair.stored.key_id, pair.private

    def holds(self, key_id: str) -> bool:
        """Return whether tokens of that key are good."""
        return key_id in self._pairs

    async def find(self, key_id: str) -> Ed25519PublicKey | None:
        """Return the public key, or None if there is none of that id."""
        if key_id not in self._pairs:
            await self._search(key_id)
        pair = self._pairs.get(key_id)
        return None if pair is None else pair.public

    def published(self) -> Sequence[Mapping[str, str]]:
        """Return the public keys as JWKs."""
        return [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "alg": "EdDSA",
                "use": "sig",
                "kid": pair.stored.key_id,
                "x": pair.stored.public_key,
            }
            for pair in self._pairs.values()
        ]

    async def _search(self, key_id: str) -> None:
        async with self._lock:
            if key_id not in self._pairs and time.monotonic() >= self._next_search:
                self._next_search = time.monotonic() + UNKNOWN_COOLDOWN_SECONDS
                await self._reload()

    async def _reload(self) -> None:
        try:
            await self._load()
        except DATABASE_ERRORS as error:
            log.warning("signing_keys.reload_failed", error=type(error).__name__)

    async def _load(self) -> None:
        async with self._database.transaction() as connection:
            stored = await keys.list_all(connection)
        alive_from = datetime.now(UTC) - self._ahead - timedelta(seconds=TOKEN_SECONDS + SKEW_SECONDS)
        alive = [key for key in stored if key.retired_at is None or key.retired_at > alive_from]
        if alive:
            self._pairs = {key.key_id: _pair(key) for key in alive}


def _pair(key: SigningKey) -> _Pair:
    private = Ed25519PrivateKey.from_private_bytes(_decode(key.private_key))
    return _Pair(key, private, private.public_key())


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
