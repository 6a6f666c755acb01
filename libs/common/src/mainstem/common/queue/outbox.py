"""Outbox: announcements, one entry a consumer, kept until that consumer has settled it (stop 6).

Entries are claimed while they are unsettled, never by a cursor on the id: ids of commits that overlap
become visible out of order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from mainstem.common.database.pool import Connection
from mainstem.common.queue.lease import IN_ORDER, Lease, affected, demand_all

PRODUCT_SUBSCRIPTION_CHANGED = "product_subscription.changed"
"""Topic: an owner's product subscriptions changed; the key is `kind:value` of the owner."""

CONSUMERS = {PRODUCT_SUBSCRIPTION_CHANGED: ("sync",)}
"""Consumers of each topic."""

INSERT = """
INSERT INTO outbox.entry (consumer, topic, key, traceparent, recorded_at, due_at)
SELECT consumer, topic, key, traceparent, $5, $5
FROM unnest($1::varchar[], $2::varchar[], $3::varchar[], $4::varchar[])
  AS new (consumer, topic, key, traceparent)
"""

CLAIM = """
UPDATE outbox.entry
SET lease_owner = $1, lease_token = $2, lease_expires_at = clock_timestamp() + $3, claims = claims + 1
WHERE id = ANY(ARRAY(
  SELECT id FROM outbox.entry
  WHERE consumer = $4 AND settled_at IS NULL AND due_at <= $5
    AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
  ORDER BY failures, due_at, id
  LIMIT $6
  FOR UPDATE SKIP LOCKED
))
RETURNING id, topic, key, traceparent, recorded_at
"""

SETTLE = """
UPDATE outbox.entry SET settled_at = $3, lease_owner = NULL, lease_token = NULL, lease_expires_at = NULL
WHERE id = ANY($1::bigint[]) AND lease_token = $2 AND settled_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Announcement:
    """That something happened to what `key` names."""

    topic: str
    key: str
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimedEntry:
    """An announcement that this consumer holds a lease on."""

    id: int
    topic: str
    key: str
    traceparent: str | None
    recorded_at: datetime


async def insert(connection: Connection, announcements: Iterable[Announcement], now: datetime) -> int:
    """Write one entry for each consumer of each announcement; return how many."""
    rows = [
        (consumer, one.topic, one.key, one.traceparent)
        for one in announcements
        for consumer in CONSUMERS[one.topic]
    ]
    if rows:
        await connection.execute(INSERT, *(list(column) for column in zip(*rows, strict=True)), now)
    return len(rows)


async def claim(
    connection: Connection, consumer: str, lease: Lease, now: datetime, limit: int
) -> list[ClaimedEntry]:
    """Take up to `limit` entries that are due for this consumer; new ones before retries."""
    await connection.execute(IN_ORDER)
    rows = await connection.fetch(CLAIM, lease.owner, lease.token, lease.duration, consumer, now, limit)
    return sorted((ClaimedEntry(**row) for row in rows), key=lambda entry: entry.id)


async def settle(connection: Connection, lease: Lease, ids: Sequence[int], now: datetime) -> None:
    """Mark claimed entries as done.

    Raises:
        LeaseLostError: not all of them are still held; the caller's transaction must roll back.
    """
    demand_all(affected(await connection.execute(SETTLE, list(ids), lease.token, now)), len(ids))
