"""Slots: rows that workers lease, one for each request that a platform gets at once from all of them.

Each live worker leases its share of them, several at once, and lends them to its own requests from
memory. Leases live by Postgres' time; what a worker that died had is free when they expire.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from mainstem.common.database.pool import Connection, Transactions
from mainstem.common.queue.lease import Lease, affected

LEASE_SECONDS = 30.0
REFRESH_SECONDS = 2.0
HUNGRY_SECONDS = 0.25
"""Interval at which a worker without its share looks again."""

log = structlog.get_logger()

REGISTER = """
WITH gone AS (
  DELETE FROM contact.slot_holder WHERE platform = $1 AND owner <> $2 AND expires_at < clock_timestamp()
)
INSERT INTO contact.slot_holder (platform, owner, expires_at) VALUES ($1, $2, clock_timestamp() + $3)
ON CONFLICT (platform, owner) DO UPDATE SET expires_at = excluded.expires_at
"""

HOLDERS = """
SELECT count(*) AS workers, count(*) FILTER (WHERE owner < $2) AS before
FROM contact.slot_holder WHERE platform = $1 AND expires_at >= clock_timestamp()
"""

CREATE = """
INSERT INTO contact.slot (platform, number) SELECT $1, generate_series(1, $2::integer)
ON CONFLICT (platform, number) DO NOTHING
"""

RENEW = """
UPDATE contact.slot SET lease_expires_at = clock_timestamp() + $3
WHERE platform = $1 AND lease_token = $2 AND number <= $4 AND lease_expires_at > clock_timestamp()
"""

TAKE = """
UPDATE contact.slot
SET lease_owner = $2, lease_token = $3, lease_expires_at = clock_timestamp() + $4
WHERE platform = $1 AND number IN (
  SELECT number FROM contact.slot
  WHERE platform = $1 AND number <= $5 AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
  ORDER BY number LIMIT $6
  FOR UPDATE SKIP LOCKED
)
"""

GIVE_BACK = """
UPDATE contact.slot SET lease_owner = NULL, lease_token = NULL, lease_expires_at = NULL
WHERE platform = $1 AND number IN (
  SELECT number FROM contact.slot WHERE platform = $1 AND lease_token = $2 ORDER BY number DESC LIMIT $3
  FOR UPDATE
)
"""

LEAVE = "DELETE FROM contact.slot_holder WHERE platform = $1 AND owner = $2"


@dataclass(frozen=True, slots=True)
class SlotLimit:
    """Limits of a platform."""

    platform: str
    at_once: int
    """Requests, over all workers."""
    request_seconds: float
    """Lease time that must remain when a request starts."""


class Slots:
    """The slots that this worker leases, lent to one request each."""

    def __init__(
        self, database: Transactions, limit: SlotLimit, owner: str, seconds: float = LEASE_SECONDS
    ) -> None:
        self._database = database
        self._limit = limit
        self._lease = Lease(owner, seconds)
        self._held = 0
        self._share = 0
        self._until = 0.0
        self._lent = 0
        self._changed = asyncio.Event()

    @property
    def usable(self) -> int:
        """The number of requests that this worker may have under way now."""
        is_fresh = self._until - time.monotonic() >= self._limit.request_seconds
        return min(self._held, self._share) if is_fresh else 0

    async def borrow(self, wait_seconds: float) -> "Slot":
        """Return a slot for one request, to be given back.

        Raises:
            TimeoutError: there was none for that long.
        """
        async with asyncio.timeout(wait_seconds):
            while self._lent >= self.usable:
                self._changed.clear()
                await self._changed.wait()
            self._lent += 1
        return Slot(self)

    def take_back(self) -> None:
        """End a loan."""
        self._lent -= 1
        self._changed.set()

    async def refresh(self) -> None:
        """Renew the leases, and take or give back slots until this worker has its share."""
        started_at = time.monotonic()
        async with self._database.transaction() as connection:
            held = await self._exchange(connection)
        self._held, self._until = held, started_at + self._lease.seconds
        self._changed.set()

    async def leave(self) -> None:
        """Give everything back."""
        self._held = 0
        async with self._database.transaction() as connection:
            platform = self._limit.platform
            await connection.execute(GIVE_BACK, platform, self._lease.token, self._limit.at_once)
            await connection.execute(LEAVE, platform, self._lease.owner)

    async def run(self) -> None:
        """Refresh until cancelled; without Postgres the leases run out, and requests wait."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS if self._held >= self._share else HUNGRY_SECONDS)
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001 -- however Postgres is lost, the next round may find it
                log.warning("slots.refresh_failed", platform=self._limit.platform, error=type(error).__name__)

    async def _exchange(self, connection: Connection) -> int:
        platform, owner, at_once = self._limit.platform, self._lease.owner, self._limit.at_once
        await connection.execute(REGISTER, platform, owner, self._lease.duration)
        await connection.execute(CREATE, platform, at_once)
        [row] = await connection.fetch(HOLDERS, platform, owner)
        # From here on no more is lent than the share, so what is spare below stays spare.
        self._share = share = share_of(at_once, row["workers"], row["before"])
        renewed = await connection.execute(RENEW, platform, self._lease.token, self._lease.duration, at_once)
        held = affected(renewed)
        if held < share:
            lease = (owner, self._lease.token, self._lease.duration)
            held += affected(await connection.execute(TAKE, platform, *lease, at_once, share - held))
        elif (spare := held - max(share, self._lent)) > 0:
            # A slot that a request still has is given back when that has ended.
            held -= affected(await connection.execute(GIVE_BACK, platform, self._lease.token, spare))
        return held


class Slot:
    """A slot that is lent to one request."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def give_back(self) -> None:
        """End the loan; to be called once."""
        self._slots.take_back()

    def give_back_after(self, seconds: float) -> None:
        """End the loan later, for a request that may still be under way at the platform."""
        asyncio.get_running_loop().call_later(seconds, self._slots.take_back)


def share_of(at_once: int, workers: int, before: int) -> int:
    """Return how many slots a worker has that comes after so many others: all of them share alike."""
    return at_once // workers + (1 if before < at_once % workers else 0)


@asynccontextmanager
async def open_slots(database: Transactions, limit: SlotLimit, owner: str) -> AsyncIterator[Slots]:
    """Lease this worker's share, and keep it until the end."""
    slots = Slots(database, limit, owner)
    await slots.refresh()
    refreshing = asyncio.create_task(slots.run(), name="slots")
    try:
        yield slots
    finally:
        refreshing.cancel()
        with suppress(asyncio.CancelledError):
            await refreshing
        with suppress(Exception):  # what cannot be given back expires
            await slots.leave()
