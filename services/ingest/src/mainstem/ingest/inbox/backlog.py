"""Backlog of ingest: the age of the oldest event that is not done, as a gauge."""

import time
from datetime import datetime

from mainstem.common.clock import Clock
from mainstem.common.database.pool import Connection, Transactions
from mainstem.common.telemetry import metrics

OLDEST = "SELECT min(recorded_at) FROM inbox.event WHERE status = 'received'"
PERIOD_SECONDS = 10.0
oldest_age = metrics.meter().create_gauge(
    "mainstem_oldest_event_age",
    unit="s",
    description="Age of the oldest event that is not done; 0 if all are.",
)


async def find_oldest(connection: Connection) -> datetime | None:
    """Return when the oldest event that is not done was recorded, None if all are."""
    oldest: datetime | None = await connection.fetchval(OLDEST)
    return oldest


class Backlog:
    """Measures every ten seconds, whenever it is asked."""

    def __init__(self, database: Transactions, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._next = 0.0

    async def work(self) -> int:
        """Measure if it is time to; return 0, since there is nothing more to do."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + PERIOD_SECONDS
            oldest_age.set(await self.age_seconds())
        return 0

    async def age_seconds(self) -> float:
        """Return the age of the oldest event that is not done, by world time."""
        async with self._database.transaction() as connection:
            recorded_at = await find_oldest(connection)
        return 0.0 if recorded_at is None else (self._clock.now() - recorded_at).total_seconds()
