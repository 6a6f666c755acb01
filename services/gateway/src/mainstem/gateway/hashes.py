"""Client secrets and their Argon2id hashes; hashing is slow on purpose, so it runs in threads of its own."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from mainstem.common.errors import TooManyRequestsError

THREADS = 2
WAITING = 32
"""How many may wait: each hash takes a core for a while, and anybody may ask for one."""

# OWASP's least costly choice: secrets are 32 random bytes, so nobody guesses them from the hash anyway.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def new_secret() -> str:
    """Return a client's secret: 32 random bytes."""
    return f"secret_{secrets.token_urlsafe(32)}"


def hash_secret(secret: str) -> str:
    """Return what is stored in place of the secret."""
    return _hasher.hash(secret)


class Comparison:
    """Compares secrets with their hashes, off the event loop and a bounded number at once."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._waiting = 0
        self._nobody = hash_secret(new_secret())

    async def matches(self, secret: str, secret_hash: str | None) -> bool:
        """Return whether the secret is the one; without a hash it is not, and that takes as long.

        Raises:
            TooManyRequestsError: too many wait already.
        """
        if self._waiting >= WAITING:
            raise TooManyRequestsError("too many tokens are asked for at once", headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, _matches, secret_hash or self._nobody, secret)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _matches(secret_hash: str, secret: str) -> bool:
    try:
        return _hasher.verify(secret_hash, secret)
    except (Argon2Error, InvalidHashError):
        return False
