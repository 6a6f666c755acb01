"""Secrets of API clients and their Argon2id hashes, compared in one thread of low priority."""

import asyncio
import os
import secrets
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from mainstem.gateway.clients.storage import LIVE_SECRETS

NICENESS = 10
"""Priority of the hashing thread: where cores are short, requests of other routes run first.

Fifty bad logins a second slow another route by a fifth; at normal priority by three fifths (bench/README.md).
"""

# OWASP's least costly choice: secrets are 32 random bytes, so nobody guesses them from the hash anyway.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def new_secret() -> str:
    """Return a client's secret: 32 random bytes."""
    return f"secret_{secrets.token_urlsafe(32)}"


def hash_secret(secret: str) -> str:
    """Return what is stored in place of the secret."""
    return HASHER.hash(secret)


class Comparison:
    """Compares a secret with hashes, off the event loop and one comparison at a time."""

    def __init__(self, hasher: PasswordHasher = HASHER) -> None:
        self._hasher = hasher
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="argon2", initializer=_lower_priority)
        self._decoy = hasher.hash(new_secret())

    async def find(self, secret: str, secret_hashes: Sequence[str]) -> str | None:
        """Return the hash that is the secret's, or None.

        None takes the time of two comparisons, however many hashes there are.
        """
        padded = [*secret_hashes, *[self._decoy] * LIVE_SECRETS][:LIVE_SECRETS]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._find, secret, padded)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _find(self, secret: str, secret_hashes: Sequence[str]) -> str | None:
        return next((candidate for candidate in secret_hashes if self._matches(candidate, secret)), None)

    def _matches(self, secret_hash: str, secret: str) -> bool:
        try:
            return self._hasher.verify(secret_hash, secret)
        except (Argon2Error, InvalidHashError):
            return False


def _lower_priority() -> None:
    # Elsewhere a priority belongs to the process, and the thread's id may be that of another one.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
