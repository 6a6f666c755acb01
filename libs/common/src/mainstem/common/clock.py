"""World time: the clock by which providers, periods, schedules and expiries live.

Leases, timeouts, tokens, signatures and spans live by machine time instead (`time.monotonic`,
`time.time`, Postgres' `clock_timestamp()`), which never moves.
"""

import mmap
import os
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

OFFSET = struct.Struct("<q")
"""The clock file's whole content: how far the world is ahead of the machine, in microseconds."""


class Clock(Protocol):
    """Tells the time of the world."""

    def now(self) -> datetime:
        """Return the world's time, aware, in UTC."""
        ...


class SystemClock:
    """World time is machine time, as it is in production."""

    def now(self) -> datetime:
        """Return the machine's time, aware, in UTC."""
        return datetime.now(UTC)


class SharedClock:
    """World time is machine time plus an offset that every process of one sandbox maps from a file.

    One aligned machine word is read at once, so a reader sees the old offset or the new one.
    """

    def __init__(self, file: Path) -> None:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            self._offset = mmap.mmap(descriptor, OFFSET.size, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)

    def now(self) -> datetime:
        """Return the world's time, aware, in UTC."""
        (microseconds,) = OFFSET.unpack(self._offset[: OFFSET.size])
        return datetime.now(UTC) + timedelta(microseconds=microseconds)


def open_clock(file: Path | None) -> Clock:
    """Return the clock of this process: the sandbox's where there is a file, else the machine's.

    Raises:
        OSError: the file cannot be mapped.
    """
    return SystemClock() if file is None else SharedClock(file)
