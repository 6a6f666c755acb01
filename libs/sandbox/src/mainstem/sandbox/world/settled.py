"""State of the pipeline, read from its tables by the sandbox's own login: settled or not; and its reset."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from mainstem.common.errors import UnavailableError

# A lease lives by Postgres' own time, what is due by the world's ($1).
OUTSTANDING = """
WITH event AS (
  SELECT due_at > $1 AS waits, coalesce(lease_expires_at > clock_timestamp(), false) AS leased, due_at
  FROM inbox.event WHERE status = 'received'
), delivery AS (
  SELECT due_at > $1 AS waits, coalesce(lease_expires_at > clock_timestamp(), false) AS leased, due_at
  FROM contact.delivery WHERE wanted > sent
), operation AS (
  SELECT due_at > $1 AS waits, due_at
  FROM billing.operation WHERE status = 'wanted'
), reservation AS (
  -- One that is open waits for a person, not for us, until its session is over.
  SELECT due_at > $1 AS waits, due_at
  FROM billing.reservation WHERE status = 'creating' OR (status = 'open' AND due_at <= $1)
), entry AS (
  SELECT due_at > $1 AS waits, due_at FROM outbox.entry WHERE settled_at IS NULL
)
SELECT
  (SELECT count(*) FROM event WHERE leased) AS events_leased,
  (SELECT count(*) FROM event WHERE NOT leased AND NOT waits) AS events_due,
  (SELECT count(*) FROM event WHERE NOT leased AND waits) AS events_waiting,
  (SELECT count(*) FROM entry) AS outbox_unsettled,
  (SELECT count(*) FROM delivery WHERE leased) AS deliveries_leased,
  (SELECT count(*) FROM delivery WHERE NOT leased AND NOT waits) AS deliveries_due,
  (SELECT count(*) FROM delivery WHERE NOT leased AND waits) AS deliveries_waiting,
  (SELECT count(*) FROM operation) AS operations_wanted,
  (SELECT count(*) FROM reservation) AS reservations_due,
  (SELECT min(due_at) FROM (
     SELECT due_at FROM event WHERE waits UNION ALL SELECT due_at FROM delivery WHERE waits
     UNION ALL SELECT due_at FROM entry WHERE waits
     UNION ALL SELECT due_at FROM operation WHERE waits UNION ALL SELECT due_at FROM reservation WHERE waits
   ) AS waiting) AS next_due_at
"""

DEAD = "SELECT count(*) FROM inbox.event WHERE status = 'dead'"

KEPT_SCHEMAS = ("gateway", "mainstem", "public", "information_schema")
KEPT_TABLES = ("inbox.account", "contact.slot", "subscription.rule_activation")
"""Set up by the services when they start or by a migration, not by what flows."""

FLOWING = """
SELECT format('%I.%I', nspname, relname)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p') AND NOT relispartition
  AND nspname !~ '^pg_' AND nspname <> ALL($1::text[])
  AND nspname || '.' || relname <> ALL($2::text[])
ORDER BY 1
"""

ATTEMPTS = 5
"""Maximum number of attempts to empty tables: a worker's locks on several tables can block them."""

ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""Errors that a database raises while it is away, or not migrated."""


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Counts of outstanding work; `next_due_at` is the world time of the first waiting retry."""

    counts: dict[str, int]
    next_due_at: datetime | None

    @property
    def is_settled(self) -> bool:
        """Whether nothing at all is outstanding."""
        return not any(self.counts.values())

    def as_json(self) -> dict[str, Any]:
        """Return the counts, and the time of the next retry or None."""
        next_due_at = None if self.next_due_at is None else self.next_due_at.isoformat()
        return {"settled": self.is_settled, **self.counts, "next_due_at": next_due_at}


class Pipeline:
    """The services' tables, seen from outside the services."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def start(self) -> None:
        """Make ready; the first question connects, so the database may still be away."""
        self._pool = await asyncpg.create_pool(self._url, min_size=0, max_size=4, command_timeout=30)

    async def stop(self) -> None:
        """Give the connections back. Safe to repeat."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def outstanding(self, now: datetime, **counts: int) -> Outstanding:
        """Count what is outstanding at this world time, in one snapshot, beside further counts.

        Raises:
            UnavailableError: the database is away or not migrated.
        """
        row = await self._fetch(OUTSTANDING, now)
        next_due_at = row.pop("next_due_at")
        return Outstanding({**counts, **row}, next_due_at)

    async def dead_letters(self) -> int:
        """Count the events that were given up.

        Raises:
            UnavailableError: the database is away or not migrated.
        """
        return int((await self._fetch(DEAD))["count"])

    async def empty(self) -> list[str]:
        """Remove every row that flowed through the pipeline, and return the tables' names.

        Safe to repeat, and while workers run: who holds a lease finds nothing to settle and rolls back.

        Raises:
            UnavailableError: the database is away, not migrated, or busy for too long.
        """
        async with self._connection() as connection:
            rows = await connection.fetch(FLOWING, KEPT_SCHEMAS, KEPT_TABLES)
            tables = [row[0] for row in rows]
            if not tables:
                raise UnavailableError("The pipeline's database is not migrated: it has no tables.")
            await _truncate(connection, tables)
            return tables

    async def _fetch(self, statement: str, *parameters: Any) -> dict[str, Any]:
        async with self._connection() as connection:
            return dict(await connection.fetchrow(statement, *parameters) or {})

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """Yield a connection, and say in our own words what the database cannot do."""
        if self._pool is None:
            raise UnavailableError("The pipeline's database is not open.")
        try:
            async with self._pool.acquire() as connection:
                yield connection
        except ERRORS as error:
            detail = f"The pipeline's database does not answer: {type(error).__name__}: {error}"
            raise UnavailableError(detail) from error


async def _truncate(connection: Any, tables: list[str]) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await connection.execute(f"TRUNCATE {', '.join(tables)}")
        except asyncpg.DeadlockDetectedError:
            if attempt == ATTEMPTS:
                raise
        else:
            return
