"""Listing and replay of stored events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mainstem.common.database.pool import Connection

LIST = """
SELECT id, provider, account, event_id, type, status, failures, recorded_at, last_error FROM inbox.event
WHERE status = $1 AND id > $2 ORDER BY id LIMIT $3
"""

REPLAY = """
UPDATE inbox.event
SET status = 'received', failures = 0, claims = 0, due_at = $2, done_at = NULL, last_error = NULL
WHERE id = ANY($1::bigint[]) AND status IN ('dead', 'done', 'ignored')
RETURNING id
"""


async def list_events(
    connection: Connection, status: str, after: int = 0, limit: int = 100
) -> list[dict[str, Any]]:
    """Return a page of the events in a status, by order of recording, without their bodies."""
    return [dict(row) for row in await connection.fetch(LIST, status, after, limit)]


async def replay(connection: Connection, ids: Sequence[int], now: datetime) -> list[int]:
    """Have dead, done or ignored events processed again; return which of the ids were such."""
    return sorted(row["id"] for row in await connection.fetch(REPLAY, list(ids), now))
