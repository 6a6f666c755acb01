"""Pause of deliveries for the sandbox: nothing is claimed while another process holds a file's lock."""

import asyncio
import fcntl
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 0.8
"""Upper limit of one call's wait for the end of a pause; between two calls a worker can stop."""

Work = Callable[[], Awaitable[int]]


def pausable(work: Work, file: Path | None) -> Work:
    """Return the work as it may be paused by a lock on the file; without a file it is the work itself.

    The lock is shared while a claim is made, so whoever has got it for itself knows that none is.
    """
    return work if file is None else _Pausable(work, file)


class _Pausable:
    """Work that finds nothing to do while it is paused."""

    def __init__(self, work: Work, file: Path) -> None:
        self._work = work
        self._file = file

    async def __call__(self) -> int:
        """Do the work once, or nothing; return how much was claimed."""
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            return await self._work() if await _shares_soon(descriptor) else 0
        finally:
            os.close(descriptor)


async def _shares_soon(descriptor: int) -> bool:
    """Return whether the lock is ours to share, waiting a little for it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not _shares(descriptor):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_SECONDS)
    return True


def _shares(descriptor: int) -> bool:
    """Return whether the lock is ours to share now; closing the file gives it back."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
