"""Proofs of secrets that Argon2 verified lately, and the places from which clients showed them.

A proof is a digest of client id and secret under a random key of this process, kept in memory for a day.
A later request with the same secret needs no Argon2: Argon2 protects stored hashes of guessable secrets,
while this digest is stored nowhere and cannot be computed without the key.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Generic, TypeVar

PROOF_SECONDS = 24 * 3600.0
REMEMBERED = 10_000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key, each for a day; the latest `capacity` of them."""

    def __init__(self, monotonic: Callable[[], float], capacity: int) -> None:
        self._monotonic = monotonic
        self._capacity = capacity
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def find(self, key: K) -> V | None:
        """Return the value, or None."""
        put_at, value = self._entries.get(key, (0.0, None))
        return value if self._monotonic() - put_at < PROOF_SECONDS else None

    def put(self, key: K, value: V) -> None:
        """Remember a value from now on."""
        self._entries.pop(key, None)
        while len(self._entries) >= self._capacity:
            self._entries.popitem(last=False)
        self._entries[key] = (self._monotonic(), value)


class Proofs:
    """Remembers successes alone: failed attempts take no room and displace nothing."""

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, *, capacity: int = REMEMBERED
    ) -> None:
        self._key = secrets.token_bytes(32)
        self._hashes: Recent[bytes, str] = Recent(monotonic, capacity)
        self._places: Recent[tuple[str, str], bool] = Recent(monotonic, capacity)

    def find(self, client_id: str, secret: str) -> str | None:
        """Return the stored hash that the secret was verified against, or None.

        The time of the lookup depends on the digest, which callers cannot predict, and so tells no secret.
        """
        return self._hashes.find(self._digest(client_id, secret))

    def put(self, client_id: str, secret: str, secret_hash: str) -> None:
        """Keep the proof of a secret that Argon2 has just verified against the stored hash."""
        self._hashes.put(self._digest(client_id, secret), secret_hash)

    def keep_place(self, client_id: str, address: str) -> None:
        """Remember that the client showed a right secret from that address."""
        self._places.put((client_id, address), value=True)

    def has_place(self, client_id: str, address: str) -> bool:
        """Return whether the client showed a right secret from that address within a day."""
        return self._places.find((client_id, address)) is not None

    def _digest(self, client_id: str, secret: str) -> bytes:
        # The length keeps apart pairs whose parts join to the same text.
        return blake2b(f"{len(client_id)}:{client_id}{secret}".encode(), key=self._key).digest()
