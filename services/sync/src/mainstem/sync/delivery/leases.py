"""Leases of deliveries: renewal of long ones, claims of suspect ones, confirmation of unknown ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mainstem.common.database.pool import Connection
from mainstem.common.queue.lease import RETRY_SECONDS, Lease, affected
from mainstem.common.telemetry import spans
from mainstem.sync.delivery import storage as deliveries
from mainstem.sync.delivery.marks import SUSPICIOUS_CLAIMS
from mainstem.sync.delivery.storage import FOR_LONGER, HELD, UNHELD, ClaimedDelivery, DeliveryLogEntry

CONFIRM_AFTER = timedelta(seconds=60)
"""Delay of the confirming send after a delivery whose outcome was unknown. World time."""

SUSPECT_SECONDS = 1.0
BUSY_SUSPECT_SECONDS = 30.0
"""Interval of the search for a delivery that may end workers; in a backlog, each search reads all of it."""
SUSPECT_WAIT_SECONDS = 10.0
"""Upper limit of the wait for the end of the other deliveries before a suspect starts."""

RENEW = f"UPDATE contact.delivery SET {FOR_LONGER} WHERE {HELD}"  # noqa: S608 -- a constant

HAS_SUSPECT = f"""
SELECT EXISTS (
  SELECT FROM contact.delivery
  WHERE platform = $1 AND wanted > sent AND due_at <= $2
    AND {UNHELD}
    AND claims - failures >= {SUSPICIOUS_CLAIMS}
)
"""  # noqa: S608 -- a constant

# Due later from the claim on: a delivery that ends its worker is not claimed at once by the next one.
PUT_OFF = f"""
UPDATE contact.delivery
SET due_at = $4::timestamptz + interval '1 second'
  * ($5::integer[])[least(claims - failures - {SUSPICIOUS_CLAIMS}, cardinality($5::integer[]))]
WHERE {HELD}
"""  # noqa: S608 -- constants


class DeliveryLeaseLostError(Exception):
    """The lease of the delivery is lost, or too short for another request: nothing more may be sent."""


@dataclass
class DeliveryAttempt:
    """One delivery under way: the end of its lease (machine time), and how its requests ended so far."""

    claimed: ClaimedDelivery
    held_until: float
    started_at: int
    """Time of the claim in nanoseconds since the epoch, the unit of spans."""
    log_entries: list[DeliveryLogEntry] = field(default_factory=list)
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Remarks on shaping the contact, for the log."""

    def record(self, request: str, outcome: str, error: str | None, seconds: float, now: datetime) -> None:
        """Record the outcome of a request."""
        self.log_entries.append(
            DeliveryLogEntry(
                request=request,
                outcome=outcome,
                error=error,
                duration_ms=round(seconds * 1_000),
                recorded_at=now,
                traceparent=spans.traceparent(),
            )
        )


async def renew(connection: Connection, claimed: ClaimedDelivery) -> bool:
    """Hold a delivery for the whole of its lease from now on; return False if it is no longer held."""
    status = await connection.execute(RENEW, *claimed.key, claimed.lease.duration)
    return affected(status) == 1


async def has_suspect(connection: Connection, platform: str, now: datetime) -> bool:
    """Return whether a delivery is due whose claims came to nothing again and again."""
    return bool(await connection.fetchval(HAS_SUSPECT, platform, now))


async def claim_suspect(
    connection: Connection, platform: str, lease: Lease, now: datetime
) -> list[ClaimedDelivery]:
    """Take one delivery whose claims came to nothing again and again; each time it waits longer."""
    claimed = await deliveries.claim(connection, platform, lease, now, 1, is_suspect=True)
    for delivery in claimed:
        await connection.execute(PUT_OFF, *delivery.key, now, [int(seconds) for seconds in RETRY_SECONDS])
    return claimed


def confirmation(claimed: ClaimedDelivery, now: datetime) -> datetime | None:
    """Return when a delivery that arrives now must be confirmed, or None if it need not be."""
    if claimed.is_unknown:
        return now + CONFIRM_AFTER
    is_early = claimed.confirm_at is not None and claimed.confirm_at > now
    return claimed.confirm_at if is_early else None
