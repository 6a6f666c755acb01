"""Pause of deliveries: a lock on a file, which workers of the sandbox profile share as they claim.

A lock ends with the process that holds it, so no pause outlives the world that asked for it.
"""

import asyncio
import fcntl
import os
from pathlib import Path


class Pause:
    """The pausing side; `mainstem.sync.delivery.pause` is the side that is paused."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)

    async def begin(self) -> None:
        """Return once nothing is claimed any more; what is under way goes on. Safe to repeat."""
        await asyncio.to_thread(fcntl.flock, self._descriptor, fcntl.LOCK_EX)

    def end(self) -> None:
        """Let deliveries go on. Safe to repeat."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
