"""Marks on deliveries: contacts of which a platform must hear (stop 7). Plain SQL on a hot path."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from mainstem.common.database.pool import Connection

MOST_TRACES = 16
"""Maximum number of marks' traces that a delivery keeps: the oldest, and the latest."""

SUSPICIOUS_CLAIMS = 3
"""Claims without an outcome from which a delivery runs alone: it may be the cause that ends its workers."""

MARK = f"""
INSERT INTO contact.delivery AS delivery (contact_id, platform, wanted, due_at, wanted_at, traceparents)
SELECT contact_id, platform, 1, $4, $4, array_remove(ARRAY[traceparent], NULL)
FROM unnest($1::uuid[], $2::varchar[]) AS marked (contact_id, traceparent)
CROSS JOIN unnest($3::varchar[]) AS platform
ORDER BY contact_id, platform
ON CONFLICT (contact_id, platform) DO UPDATE SET
  wanted = delivery.wanted + 1,
  due_at = CASE WHEN delivery.failures > 0 OR delivery.claims >= {SUSPICIOUS_CLAIMS} THEN delivery.due_at
                WHEN delivery.wanted > delivery.sent THEN least(delivery.due_at, excluded.due_at)
                ELSE excluded.due_at END,
  wanted_at = CASE WHEN delivery.wanted > delivery.sent THEN delivery.wanted_at ELSE excluded.wanted_at END,
  traceparents = CASE WHEN delivery.wanted > delivery.sent
                      THEN delivery.traceparents[:$5] || excluded.traceparents
                      ELSE excluded.traceparents END
"""  # noqa: S608 -- a constant of this module


async def mark(
    connection: Connection,
    traceparents: Mapping[UUID, str | None],
    platforms: Sequence[str],
    now: datetime,
) -> None:
    """Want these contacts, each with its trace, delivered to every platform; in the commit that says why.

    A live row is due at once, one that waits for its retry goes on waiting. The row keeps the traces of
    all marks that the next delivery serves. Rows are taken in order of their key, so that two who mark
    never deadlock.
    """
    columns = (list(traceparents), list(traceparents.values()), list(platforms))
    await connection.execute(MARK, *columns, now, MOST_TRACES - 1)
