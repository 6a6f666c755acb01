"""Storage of operations: changes of objects at Stripe, stored before their first attempt."""

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
    """Change of one object at Stripe; `wanted_at` is the time of the last request for it."""

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
class OperationRequest:
    """Request for a change: its kind, and the object of an account."""

    account_id: UUID
    kind: str
    object_type: str
    object_id: str
    traceparent: str | None


async def claim(
    connection: Connection, request: OperationRequest, lease: Lease, now: datetime
) -> tuple[Operation, bool]:
    """Return the live operation of a request, and whether this caller's lease holds it.

    An object has one live operation of a kind. One that no process holds is requested anew and takes a new
    key: the old key may have been used before the cancellation that is to be undone now.
    """
    values = (
        request.account_id,
        request.kind,
        request.object_type,
        request.object_id,
        request.traceparent,
        now,
    )
    is_new = affected(await connection.execute(INSERT, UUID(str(uuid7())), *values)) == 1
    row = await connection.fetchrow(LIVE, request.kind, request.object_id)
    if row is None:
        # It was settled between the two statements; the next call inserts a new one.
        return await claim(connection, request, lease, now)
    if row["is_held"]:
        return _operation(row), False
    held = await connection.fetchrow(
        HOLD, lease.owner, lease.token, lease.duration, row["id"], int(not is_new), now
    )
    assert held is not None  # noqa: S101 -- the row is locked
    return _operation(held), True


async def claim_due(connection: Connection, lease: Lease, now: datetime, limit: int) -> list[Operation]:
    """Lease up to `limit` due operations whose outcome is unknown."""
    await connection.execute(IN_ORDER)
    rows = await connection.fetch(CLAIM, lease.owner, lease.token, lease.duration, now, limit)
    return [_operation(row) for row in rows]


async def get(connection: Connection, operation: UUID) -> Operation:
    """Return an operation by its id.

    Raises:
        LookupError: there is no such operation.
    """
    row = await connection.fetchrow(GET, operation)
    if row is None:
        raise LookupError(f"operation {operation}")
    return _operation(row)


async def end(
    connection: Connection, lease: Lease, operation: Operation, *, error: str | None, now: datetime
) -> None:
    """Mark an operation as done, or as failed for good with its reason.

    Raises:
        LeaseLostError: another process holds it; here and below.
    """
    status = "done" if error is None else "failed"
    demand_all(affected(await connection.execute(END, operation.id, lease.token, status, error, now)), 1)


async def release(
    connection: Connection, lease: Lease, operation: Operation, reason: str, now: datetime, *, new_key: bool
) -> None:
    """Schedule another attempt; `new_key` if the old key repeats a failure."""
    due_at = now + retry_delay(operation.failures + 1)
    status = await connection.execute(RELEASE, operation.id, lease.token, reason, due_at, int(new_key))
    demand_all(affected(status), 1)


def _operation(row: asyncpg.Record) -> Operation:
    return Operation(**{name: row[name] for name in Operation.__slots__})
