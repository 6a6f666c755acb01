"""Deliveries of a stage in its tables: those that are due, and how the runner makes them so."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

Json = Any

PENDING = """
SELECT contact_id, failures FROM contact.delivery
WHERE wanted > sent AND NOT (confirm_at IS NOT NULL AND failures = 0 AND due_at >= confirm_at)
ORDER BY contact_id
"""
"""What is to be delivered, but for the confirmation of what was delivered after a lost answer."""

BACKLOG = """
SELECT count(*) FILTER (WHERE due_at <= $1 AND failures < $2) AS due,
       count(*) FILTER (WHERE failures > 0) AS failed
FROM contact.delivery
WHERE wanted > sent AND NOT (confirm_at IS NOT NULL AND failures = 0 AND due_at >= confirm_at)
"""

HOLD = "UPDATE contact.delivery SET due_at = due_at {sign} interval '1000 years' WHERE contact_id = ANY($1)"

DUE = "SELECT contact_id FROM contact.delivery WHERE wanted > sent AND due_at <= $1"

UNKNOWN_BASE = """(
  SELECT jsonb_object_agg(sent.key, (
    SELECT coalesce(jsonb_object_agg(row.key, 'null'::jsonb), '{}') FROM jsonb_each(sent.value) AS row
  )) FROM jsonb_each(base) AS sent
)"""
"""What was sent, in a state that is not known: all of it is sent again, and what is gone is still known."""

CLEAR = "TRUNCATE contact.contact CASCADE"

SEED = """
WITH added AS (
  INSERT INTO contact.contact (contact_id, created_at, updated_at)
  SELECT gen_random_uuid(), $1, $1 FROM generate_series(1, greatest($2::int, $3::int)) RETURNING contact_id
)
INSERT INTO contact.delivery (contact_id, platform, wanted, due_at, wanted_at, failures)
SELECT contact_id, 'acoustic', 1, $1, $1, (row_number() OVER () <= $3::int)::int FROM added
"""


class Deliveries:
    """Deliveries in the tables, by the owner's rights; `now` is the world's time."""

    def __init__(
        self, tables: "asyncpg.Pool[asyncpg.Record]", now: Callable[[], Awaitable[datetime]]
    ) -> None:
        self._tables = tables
        self._now = now

    async def hold(self, email_ids: Collection[str]) -> None:
        """Have these contacts due in a thousand years."""
        await self._move(email_ids, "+")

    async def let_go(self, email_ids: Collection[str]) -> None:
        """Have these contacts due as before `hold`."""
        await self._move(email_ids, "-")

    async def _move(self, email_ids: Collection[str], sign: str) -> None:
        ids = [UUID(email_id) for email_id in email_ids]
        await self._tables.execute(HOLD.format(sign=sign), ids)

    async def due(self) -> set[str]:
        """Return the contacts that are due now."""
        return {str(row["contact_id"]) for row in await self._tables.fetch(DUE, await self._now())}

    async def backlog(self, retry_limit: int) -> "Counter[str]":
        """Count the deliveries that are due, and those that failed before."""
        row = await self._tables.fetchrow(BACKLOG, await self._now(), retry_limit)
        return Counter(dict(row or {}))

    async def pending(self) -> list[dict[str, Json]]:
        """Return the contacts that are to be delivered, each with its failures."""
        rows = await self._tables.fetch(PENDING)
        return [{"email_id": str(row["contact_id"]), "retry": row["failures"]} for row in rows]

    async def forget_bases(self) -> None:
        """Have each delivery that is to be made sent whole; this makes none due."""
        await self._tables.execute(f"UPDATE contact.delivery SET base = {UNKNOWN_BASE} WHERE wanted > sent")

    async def make_retries_due(self) -> None:
        """Have what failed tried again in the next window: CTMS waits for no more than its next cycle."""
        await self._tables.execute(
            "UPDATE contact.delivery SET due_at = least(due_at, $1) WHERE wanted > sent AND failures > 0",
            await self._now(),
        )

    async def seed_backlog(self, due: int, failed: int) -> None:
        """Have so many deliveries due, and so many of them failed before; nothing is sent."""
        await self._tables.execute(CLEAR)
        await self._tables.execute(SEED, await self._now(), due, failed)

    async def want(self, email_ids: Sequence[str]) -> None:
        """Want of these contacts whatever differs from what was sent last."""
        await self._tables.execute(
            "UPDATE contact.delivery SET wanted = sent + 1, due_at = $2 WHERE contact_id = ANY($1::uuid[])",
            [UUID(email_id) for email_id in email_ids],
            await self._now(),
        )

    async def want_in_full(self, email_ids: Sequence[str]) -> None:
        """Want everything of these contacts sent now, and of nobody else anything."""
        await self._tables.execute("UPDATE contact.delivery SET sent = wanted, confirm_at = NULL")
        await self._tables.execute(
            f"UPDATE contact.delivery SET wanted = sent + 1, base = {UNKNOWN_BASE}, failures = 0,"
            " is_unknown = false, due_at = $2 WHERE contact_id = ANY($1::uuid[])",
            [UUID(email_id) for email_id in email_ids],
            await self._now(),
        )
