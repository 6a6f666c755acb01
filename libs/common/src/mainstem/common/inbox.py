"""Recording: events go into the inbox once each (stop 2). Insert only; claiming them is ingest's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mainstem.common.database import Connection

COLUMNS = (
    "provider, account, event_id, type, object_type, object_id, created, api_version, livemode,"
    " body, traceparent, status, last_error, recorded_at, due_at"
)

INSERT = f"""
INSERT INTO inbox.event ({COLUMNS})
SELECT *, $14::timestamptz, $14::timestamptz
FROM unnest($1::varchar[], $2::varchar[], $3::varchar[], $4::varchar[], $5::varchar[], $6::varchar[],
            $7::timestamptz[], $8::varchar[], $9::boolean[], $10::bytea[], $11::varchar[], $12::varchar[],
            $13::varchar[])
ON CONFLICT (provider, account, event_id) DO UPDATE
SET status = excluded.status, last_error = excluded.last_error, failures = 0, claims = 0,
  due_at = excluded.due_at
WHERE event.status = 'dead'
RETURNING status
"""  # noqa: S608 -- a constant of this module


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event as it came in.

    `status` is `received`, or `ignored` for a type that is not worked on, or `dead` for an event that should
    be worked on and cannot be; `last_error` then says why.
    """

    provider: str
    account: str
    event_id: str
    type: str
    object_type: str | None
    object_id: str | None
    created: datetime | None
    api_version: str | None
    livemode: bool | None
    body: bytes
    traceparent: str | None
    status: str
    last_error: str | None = None

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes two deliveries the same event."""
        return (self.provider, self.account, self.event_id)


async def insert(connection: Connection, events: Sequence[NewEvent], now: datetime) -> int:
    """Store events, once each, by one statement; return how many there are to work on. Safe to repeat.

    A duplicate changes nothing, but a redelivery of a dead event revives it, unless that is dead again.
    The rows go in order of their identity, so that two writers never deadlock.

    Raises:
        asyncpg.DataError: a value cannot be stored (a NUL in a text, for one); nothing was.
    """
    unique = {event.identity: event for event in events}
    ordered = [unique[identity] for identity in sorted(unique)]
    columns = [[getattr(event, name) for event in ordered] for name in NewEvent.__slots__]
    rows = await connection.fetch(INSERT, *columns, now)
    return sum(row["status"] == "received" for row in rows)
