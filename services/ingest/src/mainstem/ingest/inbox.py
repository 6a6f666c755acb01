"""The inbox's working side: claiming events, settling them, retries and dead letters."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainstem.common.database import Connection
from mainstem.common.lease import IN_ORDER, Lease, affected, demand_all, retry_delay

SUSPICIOUS_CLAIMS = 3
"""How often an event may be claimed without a word of what became of it, before it runs alone."""

_CLAIM = """
WITH due AS MATERIALIZED (
  SELECT id FROM inbox.event
  WHERE status = 'received' AND provider = $4 AND account = ANY($5::varchar[]) AND due_at <= $6
    AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
    AND claims - failures {condition} {claims}
  ORDER BY failures, due_at, id
  LIMIT $7
  FOR UPDATE SKIP LOCKED
)
UPDATE inbox.event AS event
SET lease_owner = $1, lease_token = $2, lease_expires_at = clock_timestamp() + $3, claims = claims + 1
WHERE id = ANY(ARRAY(SELECT id FROM due))
RETURNING id, account, event_id, type, object_type, object_id, created, livemode, body, traceparent,
  recorded_at, failures
"""
CLAIM = _CLAIM.format(condition="<", claims=SUSPICIOUS_CLAIMS)
CLAIM_SUSPECT = _CLAIM.format(condition=">=", claims=SUSPICIOUS_CLAIMS)

_FREE = "lease_owner = NULL, lease_token = NULL, lease_expires_at = NULL"
_HELD = "id = ANY($1::bigint[]) AND lease_token = $2 AND status = 'received'"

DONE = f"UPDATE inbox.event SET status = 'done', done_at = $3, last_error = NULL, {_FREE} WHERE {_HELD}"  # noqa: S608 -- constants of this module

GIVE_BACK = f"UPDATE inbox.event SET claims = claims - 1, {_FREE} WHERE {_HELD}"  # noqa: S608 -- as above

FAIL = f"""
UPDATE inbox.event AS event
SET failures = event.failures + 1, last_error = new.reason, due_at = new.due_at, status = new.status, {_FREE}
FROM unnest($1::bigint[], $3::varchar[], $4::timestamptz[], $5::varchar[]) AS new (id, reason, due_at, status)
WHERE event.id = new.id AND lease_token = $2 AND event.status = 'received'
"""  # noqa: S608 -- as above

LIST = """
SELECT id, provider, account, event_id, type, status, failures, recorded_at, last_error FROM inbox.event
WHERE status = $1 AND id > $2 ORDER BY id LIMIT $3
"""

REPLAY = """
UPDATE inbox.event
SET status = 'received', failures = 0, claims = 0, due_at = $2, done_at = NULL, last_error = NULL
WHERE id = ANY($1::bigint[]) AND status IN ('dead', 'done')
RETURNING id
"""

OLDEST = "SELECT min(recorded_at) FROM inbox.event WHERE status = 'received'"


@dataclass(frozen=True, slots=True)
class Event:
    """An event that this worker holds a lease on; `id` is the order of recording."""

    id: int
    account: str
    event_id: str
    type: str
    object_type: str
    object_id: str
    created: datetime | None
    livemode: bool | None
    body: bytes
    traceparent: str | None
    recorded_at: datetime
    failures: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an event could not be worked off; `is_own` says that it is by its own fault."""

    event: Event
    reason: str
    is_own: bool


@dataclass(frozen=True, slots=True)
class Queue:
    """Whose events are claimed: those of some accounts at one provider."""

    provider: str
    accounts: Sequence[str]


async def claim(connection: Connection, lease: Lease, queue: Queue, now: datetime, limit: int) -> list[Event]:
    """Take up to `limit` events that are due; new ones before retries, each by order of recording."""
    return await _claim(connection, CLAIM, lease, queue, now, limit)


async def claim_suspect(connection: Connection, lease: Lease, queue: Queue, now: datetime) -> list[Event]:
    """Take one event whose claims came to nothing again and again: it may be what ends its workers."""
    return await _claim(connection, CLAIM_SUSPECT, lease, queue, now, 1)


async def _claim(
    connection: Connection, statement: str, lease: Lease, queue: Queue, *values: Any
) -> list[Event]:
    await connection.execute(IN_ORDER)
    rows = await connection.fetch(
        statement, lease.owner, lease.token, lease.duration, queue.provider, list(queue.accounts), *values
    )
    return sorted((Event(**row) for row in rows), key=lambda event: event.id)


async def settle(connection: Connection, lease: Lease, events: Sequence[Event], now: datetime) -> None:
    """Mark claimed events as done.

    Raises:
        LeaseLostError: not all of them are still held; the caller's transaction must roll back.
    """
    status = await connection.execute(DONE, [event.id for event in events], lease.token, now)
    demand_all(affected(status), len(events))


async def give_back(connection: Connection, lease: Lease, events: Sequence[Event]) -> None:
    """Free those of the claimed events that are still held, as if they had never been claimed."""
    await connection.execute(GIVE_BACK, [event.id for event in events], lease.token)


async def fail(
    connection: Connection, lease: Lease, failures: Sequence[Failure], now: datetime, failures_to_dead: int
) -> int:
    """Have claimed events tried again later, and lay aside those that failed often enough by their own fault.

    Returns how many died.

    Raises:
        LeaseLostError: not all of them are still held; the caller's transaction must roll back.
    """
    dies = [one.is_own and one.event.failures + 1 >= failures_to_dead for one in failures]
    status = await connection.execute(
        FAIL,
        [one.event.id for one in failures],
        lease.token,
        [one.reason for one in failures],
        [now + retry_delay(one.event.failures + 1) for one in failures],
        ["dead" if is_dead else "received" for is_dead in dies],
    )
    demand_all(affected(status), len(failures))
    return sum(dies)


async def list_events(
    connection: Connection, status: str, after: int = 0, limit: int = 100
) -> list[dict[str, Any]]:
    """Return a page of the events in a status, by order of recording, without their bodies."""
    return [dict(row) for row in await connection.fetch(LIST, status, after, limit)]


async def replay(connection: Connection, ids: Sequence[int], now: datetime) -> list[int]:
    """Have dead or done events processed again; return which of the ids were such."""
    return sorted(row["id"] for row in await connection.fetch(REPLAY, list(ids), now))


async def find_oldest(connection: Connection) -> datetime | None:
    """Return when the oldest event that is not done was recorded, None if all are."""
    oldest: datetime | None = await connection.fetchval(OLDEST)
    return oldest
