"""Movable clock, its writing side: moves the sandbox's world time forward for every process at once."""

import mmap
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from mainstem.common.clock import OFFSET

_MICROSECOND = timedelta(microseconds=1)


class ClockError(Exception):
    """The clock cannot do what was asked; the text is meant for a person."""


class MovableClock:
    """World time as machine time plus an offset that this process alone may move, and only forward.

    Validity ranges and `as_of` rest on a world time that never goes back.
    """

    def __init__(self, file: Path) -> None:
        descriptor = os.open(file, os.O_RDWR)
        try:
            if os.fstat(descriptor).st_size != OFFSET.size:
                raise ClockError(f"{file} is no clock: it is not {OFFSET.size} bytes long")
            self._offset = mmap.mmap(descriptor, OFFSET.size)
        finally:
            os.close(descriptor)

    @classmethod
    def create(cls, file: Path) -> Self:
        """Open the clock in this file, which is made, not moved, where there is none."""
        if not file.exists():
            # Written aside and renamed, so that no reader maps an empty file.
            draft = file.with_name(f"{file.name}.{os.getpid()}")
            draft.write_bytes(OFFSET.pack(0))
            draft.rename(file)
        return cls(file)

    @property
    def ahead(self) -> timedelta:
        """The time by which the world is ahead of the machine."""
        (microseconds,) = OFFSET.unpack(self._offset[: OFFSET.size])
        return timedelta(microseconds=microseconds)

    def now(self) -> datetime:
        """Return the world's time, aware, in UTC."""
        return datetime.now(UTC) + self.ahead

    def move_to(self, at: datetime) -> None:
        """Make it `at` in the world; from then on time goes on at its usual pace.

        Raises:
            ClockError: `at` is in the world's past, or names no time zone.
        """
        if at.tzinfo is None:
            raise ClockError(f"{at.isoformat()} names no time zone")
        self._set(at - datetime.now(UTC))

    def advance(self, by: timedelta) -> None:
        """Move the world forward by this much.

        Raises:
            ClockError: `by` is negative.
        """
        self._set(self.ahead + by)

    def _set(self, ahead: timedelta) -> None:
        if ahead < self.ahead:
            raise ClockError(f"the clock goes forward only: that is {self.ahead - ahead} ago in the world")
        # A slice is copied in one piece; struct.pack_into would write byte by byte under the readers' eyes.
        self._offset[: OFFSET.size] = OFFSET.pack(ahead // _MICROSECOND)
