"""Operations in the database: what billing does to objects at Stripe, written down before it is tried."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from uuid_utils import uuid7

from mainstem.common.database.pool import Connection
from mainstem.common.queue.lease import IN_ORDER, Lease, affected, demand_all, retry_delay

COLUMNS = (
    "id, account_id, kind, object_type, object_id, status, attempt, traceparent, created_at, wanted_at,"
    " failures"
)

INSERT = """
INSERT INTO billing.operation
  (id, account_id, kind, object_type, object_id, status, traceparent, created_at, wanted_at, due_at)
VALUES ($1, $2, $3, $4, $5, 'wanted', $6, $7, $7, $7)
ON CONFLICT (kind, object_id) WHERE status = 'wanted' DO NOTHING
"""
LIVE = f"""
SELECT {COLUMNS}, coalesce(lease_expires_at > clock_timestamp(), false) AS is_held FROM billing.operation
WHERE kind = $1 AND object_id = $2 AND status = 'wanted'
FOR UPDATE
"""  # noqa: S608 -- constants of this module
HOLD = f"""
UPDATE billing.operation
SET lease_owner = $1, lease_token = $2, lease_expires_at = clock_timestamp() + $3, claims = claims + 1,
  attempt = attempt + $5, wanted_at = $6
WHERE id = $4
RETURNING {COLUMNS}
"""  # noqa: S608 -- as above
CLAIM = f"""
UPDATE billing.operation
SET lease_owner = $1, lease_token = $2, lease_expires_at = clock_timestamp() + $3, claims = claims + 1
WHERE id = ANY(ARRAY(
  SELECT id FROM billing.operation
  WHERE status = 'wanted' AND due_at <= $4
    AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
  ORDER BY due_at LIMIT $5 FOR UPDATE SKIP LOCKED
))
RETURNING {COLUMNS}
"""  # noqa: S608 -- as above
GET = f"SELECT {COLUMNS} FROM billing.operation WHERE id = $1"  # noqa: S608 -- as above

_FREE = "lease_owner = NULL, lease_token = NULL, lease_expires_at = NULL"
_HELD = "id = $1 AND lease_token = $2 AND status = 'wanted'"
END = f"""
UPDATE billing.operation SET status = $3, last_error = $4, done_at = $5, {_FREE} WHERE {_HELD}
"""  # noqa: S608 -- as above
RELEASE = f"""
UPDATE billing.operation
SET failures = failures + 1, last_error = $3, due_at = $4, attempt = attempt + $5, {_FREE}
WHERE {_HELD}
"""  # noqa: S608 -- as above


@dataclass(frozen=True, slots=True)
class Operation:
    """Something to be done to one object."""

    id: UUID
    account_id: UUID
    kind: str
    object_type: str
    object_id: str
    status: str
    attempt: int
    traceparent: str | None
    created_at: datetime
    wanted_at: datetime
    failures: int

    def key(self, step: str) -> str:
        """Return the idempotency key of one step: two requests of an attempt have two keys."""
        return f"operation:{self.id}:{self.attempt}:{step}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done: which kind of thing, to which of an account's objects."""

    account_id: UUID
    kind: str
    object_type: str
    object_id: str
    traceparent: str | None


async def claim(connection: Connection, wish: Wish, lease: Lease, now: datetime) -> tuple[Operation, bool]:
    """Return the operation that does what is wished, and whether it is this caller's to do.

    An open wish is not made twice. If no worker holds it, it is wanted anew and takes a new key: the old one
    may have been used before the cancellation that is now to be undone.
    """
    values = (wish.account_id, wish.kind, wish.object_type, wish.object_id, wish.traceparent, now)
    is_new = affected(await connection.execute(INSERT, UUID(str(uuid7())), *values)) == 1
    row = await connection.fetchrow(LIVE, wish.kind, wish.object_id)
    if row is None:
        # It was settled between the two statements; the next one is new.
        return await claim(connection, wish, lease, now)
    if row["is_held"]:
        return _operation(row), False
    held = await connection.fetchrow(
        HOLD, lease.owner, lease.token, lease.duration, row["id"], int(not is_new), now
    )
    assert held is not None  # noqa: S101 -- the row is locked
    return _operation(held), True


async def claim_due(connection: Connection, lease: Lease, now: datetime, limit: int) -> list[Operation]:
    """Take up to `limit` operations whose outcome is unknown, and that it is time to try again."""
    await connection.execute(IN_ORDER)
    rows = await connection.fetch(CLAIM, lease.owner, lease.token, lease.duration, now, limit)
    return [_operation(row) for row in rows]


async def get(connection: Connection, operation: UUID) -> Operation:
    """Return an operation that is known to be there."""
    row = await connection.fetchrow(GET, operation)
    if row is None:
        raise LookupError(f"operation {operation}")
    return _operation(row)


async def end(
    connection: Connection, lease: Lease, one: Operation, *, error: str | None, now: datetime
) -> None:
    """Mark an operation as done, or as failed for good with its reason.

    Raises:
        LeaseLostError: somebody else holds it by now; here and below.
    """
    status = "done" if error is None else "failed"
    demand_all(affected(await connection.execute(END, one.id, lease.token, status, error, now)), 1)


async def release(
    connection: Connection, lease: Lease, one: Operation, reason: str, now: datetime, *, new_key: bool
) -> None:
    """Have an operation tried again later, under the same key unless that one answers no more."""
    due_at = now + retry_delay(one.failures + 1)
    status = await connection.execute(RELEASE, one.id, lease.token, reason, due_at, int(new_key))
    demand_all(affected(status), 1)


def _operation(row: asyncpg.Record) -> Operation:
    return Operation(**{name: row[name] for name in Operation.__slots__})
