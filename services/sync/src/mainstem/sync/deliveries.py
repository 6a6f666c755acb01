"""Storage of deliveries: marks, claims and settling; what each platform answered. No ORM: this is hot.

A row is due while `wanted > sent`. The claim returns `wanted` before anything is loaded, and success sets
`sent` to that value: a mark that arrives in between leaves the row due.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from mainstem.common.database import Connection
from mainstem.common.lease import IN_ORDER, Lease, affected, retry_delay
from mainstem.sync.difference import Base

CONFIRM_AFTER = timedelta(seconds=60)
"""How long after a delivery whose fate was unknown the contact is sent once more. World time."""

MOST_TRACES = 16
"""How many marks' traces a delivery keeps: the oldest ones, and the latest."""

MARK = """
INSERT INTO contact.delivery AS delivery (contact_id, platform, wanted, due_at, wanted_at, traceparents)
SELECT contact_id, platform, 1, $4, $4, array_remove(ARRAY[traceparent], NULL)
FROM unnest($1::uuid[], $2::varchar[]) AS marked (contact_id, traceparent)
CROSS JOIN unnest($3::varchar[]) AS platform
ORDER BY contact_id, platform
ON CONFLICT (contact_id, platform) DO UPDATE SET
  wanted = delivery.wanted + 1,
  due_at = CASE WHEN delivery.failures > 0 THEN delivery.due_at
                WHEN delivery.wanted > delivery.sent THEN least(delivery.due_at, excluded.due_at)
                ELSE excluded.due_at END,
  wanted_at = CASE WHEN delivery.wanted > delivery.sent THEN delivery.wanted_at ELSE excluded.wanted_at END,
  traceparents = CASE WHEN delivery.wanted > delivery.sent
                      THEN delivery.traceparents[:$5] || excluded.traceparents
                      ELSE excluded.traceparents END
"""

# A token that is still there tells of a holder who never settled: what it sent is not known.
CLAIM = """
UPDATE contact.delivery
SET lease_owner = $1, lease_token = $2, lease_expires_at = clock_timestamp() + $3, claims = claims + 1,
    is_unknown = is_unknown OR lease_token IS NOT NULL
WHERE platform = $4 AND contact_id = ANY(ARRAY(
  SELECT contact_id FROM contact.delivery
  WHERE platform = $4 AND wanted > sent AND due_at <= $5
    AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
  ORDER BY failures, due_at
  LIMIT $6
  FOR UPDATE SKIP LOCKED
))
RETURNING delivery.contact_id, delivery.platform, delivery.wanted, delivery.base::text,
          delivery.is_unknown, delivery.confirm_at, delivery.failures, delivery.traceparents
"""

HELD = "contact_id = $1 AND platform = $2 AND lease_token = $3"
FREE = "lease_owner = NULL, lease_token = NULL, lease_expires_at = NULL"

INTEND = f"""
UPDATE contact.delivery SET base = $4, lease_expires_at = clock_timestamp() + $5 WHERE {HELD}
"""  # noqa: S608 -- constants of this module

SUCCEED = f"""
UPDATE contact.delivery
SET sent = $4, base = $5, sent_at = $6, failures = 0, last_error = NULL, is_unknown = false, confirm_at = $7,
    wanted = wanted + CASE WHEN wanted = $4 AND $7::timestamptz IS NOT NULL THEN 1 ELSE 0 END,
    due_at = CASE WHEN wanted = $4 THEN coalesce($7, due_at) ELSE due_at END,
    traceparents = CASE WHEN wanted = $4 THEN traceparents
                        ELSE coalesce(nullif(traceparents[cardinality($8::varchar[]) + 1:], '{{}}'),
                                      traceparents[cardinality(traceparents):]) END,
    {FREE}
WHERE {HELD}
RETURNING wanted > sent AND due_at <= $6
"""  # noqa: S608 -- constants of this module

FAIL = f"""
UPDATE contact.delivery
SET failures = failures + 1, due_at = $4, last_error = $5, is_unknown = is_unknown OR $6, {FREE}
WHERE {HELD}
"""  # noqa: S608 -- constants of this module

GIVE_BACK = f"UPDATE contact.delivery SET {FREE} WHERE {HELD}"  # noqa: S608 -- constants of this module

RECORD = """
INSERT INTO contact.delivery_log
  (recorded_at, contact_id, platform, request, outcome, error, duration_ms, traceparent)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this worker holds. `wanted` is what it settles, whatever is marked meanwhile."""

    contact_id: UUID
    platform: str
    wanted: int
    base: Base
    is_unknown: bool
    confirm_at: datetime | None
    failures: int
    traceparents: Sequence[str]
    lease: Lease

    @property
    def key(self) -> tuple[UUID, str, UUID]:
        """What a statement must match to touch the row only while it is held."""
        return (self.contact_id, self.platform, self.lease.token)


@dataclass(frozen=True, slots=True)
class Answer:
    """How one request ended: `success`, `failure` or `unknown`. The error quotes nobody's data."""

    request: str
    outcome: str
    error: str | None
    duration_ms: int
    recorded_at: datetime
    traceparent: str | None


async def mark(
    connection: Connection,
    traceparents: Mapping[UUID, str | None],
    platforms: Sequence[str],
    now: datetime,
) -> None:
    """Want these contacts, each with its trace, delivered to every platform; in the commit that says why.

    A live row is due at once, one that waits for its retry goes on waiting. The row keeps the traces of
    all marks that the next delivery serves. Rows are taken in order of their key, so that two who mark
    never wait for each other in a circle.
    """
    columns = (list(traceparents), list(traceparents.values()), list(platforms))
    await connection.execute(MARK, *columns, now, MOST_TRACES - 1)


async def claim(
    connection: Connection, platform: str, lease: Lease, now: datetime, limit: int
) -> list[Claimed]:
    """Take up to `limit` deliveries that are due, live ones before retries."""
    await connection.execute(IN_ORDER)
    rows = await connection.fetch(CLAIM, lease.owner, lease.token, lease.duration, platform, now, limit)
    return [Claimed(**{**row, "base": json.loads(row["base"] or "{}")}, lease=lease) for row in rows]


async def intend(connection: Connection, claimed: Claimed, base: Base) -> bool:
    """Write down, before anything is sent, what the platform may hold from now on; renew the lease.

    Return False if the row is no longer held, and nothing may be sent.
    """
    status = await connection.execute(INTEND, *claimed.key, json.dumps(base), claimed.lease.duration)
    return affected(status) == 1


async def succeed(connection: Connection, claimed: Claimed, base: Base, now: datetime) -> bool | None:
    """Settle a delivery that arrived; return whether the row is due again, having been marked meanwhile.

    Return None if it is no longer held; then nothing was written. After an outcome that was unknown, the
    row stays wanted until a minute has passed: a request that was lost on its way may still arrive and
    overwrite what was sent since.
    """
    confirm_at = confirmation(claimed, now)
    is_due: bool | None = await connection.fetchval(
        SUCCEED, *claimed.key, claimed.wanted, json.dumps(base), now, confirm_at, claimed.traceparents
    )
    return is_due


def confirmation(claimed: Claimed, now: datetime) -> datetime | None:
    """Return when a delivery that arrives now must be confirmed, or None if it need not be."""
    if claimed.is_unknown:
        return now + CONFIRM_AFTER
    is_early = claimed.confirm_at is not None and claimed.confirm_at > now
    return claimed.confirm_at if is_early else None


async def fail(
    connection: Connection, claimed: Claimed, error: str, now: datetime, *, is_unknown: bool
) -> bool:
    """Settle a delivery that failed: it waits for its retry. Return False if it is no longer held."""
    due_at = now + retry_delay(claimed.failures + 1)
    status = await connection.execute(FAIL, *claimed.key, due_at, error, is_unknown)
    return affected(status) == 1


async def give_back(connection: Connection, claimed: Claimed) -> None:
    """Let go of a delivery without having sent anything; it stays due."""
    await connection.execute(GIVE_BACK, *claimed.key)


async def record(connection: Connection, claimed: Claimed, answers: Iterable[Answer]) -> None:
    """Keep what the platform answered to each request."""
    rows: list[tuple[Any, ...]] = [
        (
            one.recorded_at,
            claimed.contact_id,
            claimed.platform,
            one.request,
            one.outcome,
            one.error,
            one.duration_ms,
            one.traceparent,
        )
        for one in answers
    ]
    if rows:
        await connection.executemany(RECORD, rows)
