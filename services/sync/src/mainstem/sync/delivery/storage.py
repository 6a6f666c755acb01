"""Storage of deliveries: claims, settling and the delivery log. Plain SQL on a hot path.

A row is due while `wanted > sent`. The claim returns `wanted` before anything is loaded; success sets `sent`
to that value: a mark that arrives in between leaves the row due.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from mainstem.common.database.pool import Connection
from mainstem.common.queue.lease import IN_ORDER, Lease, affected, retry_delay
from mainstem.sync.delivery.marks import SUSPICIOUS_CLAIMS
from mainstem.sync.platforms.difference import SentHashes

# A token that is still there tells of a holder who never settled: what it sent is not known.
_CLAIM = """
UPDATE contact.delivery
SET lease_owner = $1, lease_token = $2, lease_expires_at = clock_timestamp() + $3, claims = claims + 1,
    is_unknown = is_unknown OR lease_token IS NOT NULL
WHERE platform = $4 AND contact_id = ANY(ARRAY(
  SELECT contact_id FROM contact.delivery
  WHERE platform = $4 AND wanted > sent AND due_at <= $5
    AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
    AND claims - failures {condition} {claims}
  ORDER BY failures, due_at
  LIMIT $6
  FOR UPDATE SKIP LOCKED
))
RETURNING delivery.contact_id, delivery.platform, delivery.wanted, delivery.base::text,
          delivery.is_unknown, delivery.confirm_at, delivery.failures, delivery.traceparents
"""
CLAIM = _CLAIM.format(condition="<", claims=SUSPICIOUS_CLAIMS)
CLAIM_SUSPECT = _CLAIM.format(condition=">=", claims=SUSPICIOUS_CLAIMS)

UNHELD = "(lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())"
FOR_LONGER = "lease_expires_at = clock_timestamp() + $4"
HELD = "contact_id = $1 AND platform = $2 AND lease_token = $3"
FREE = "lease_owner = NULL, lease_token = NULL, lease_expires_at = NULL"

GIVEN = (
    "unnest($1::uuid[], $2::varchar[], $3::uuid[], {columns}) AS given (contact_id, platform, token, {names})"
)
IN_TURN = """taken AS MATERIALIZED (
  SELECT contact_id, platform FROM contact.delivery
  WHERE contact_id = ANY($1::uuid[]) AND platform = ANY($2::varchar[])
  ORDER BY contact_id, platform FOR UPDATE
)"""
"""Takes the rows in the order in which marks take them: two that take several never deadlock."""

HELD_BY_GIVEN = """delivery.contact_id = ANY($1::uuid[]) AND delivery.contact_id = taken.contact_id
    AND delivery.platform = taken.platform AND delivery.contact_id = given.contact_id
    AND delivery.platform = given.platform AND delivery.lease_token = given.token"""

INTEND = f"""
WITH {IN_TURN}
UPDATE contact.delivery AS delivery
SET base = given.base, lease_expires_at = clock_timestamp() + given.lease
FROM taken, {GIVEN.format(columns="$4::jsonb[], $5::interval[]", names="base, lease")}
WHERE {HELD_BY_GIVEN}
RETURNING given.contact_id, given.platform, given.token
"""  # noqa: S608 -- constants of this module

SUCCEED = f"""
WITH {IN_TURN}, answer AS (
  INSERT INTO contact.delivery_log
    (recorded_at, contact_id, platform, request, outcome, error, duration_ms, traceparent)
  SELECT * FROM unnest($9::timestamptz[], $10::uuid[], $11::varchar[], $12::varchar[], $13::varchar[],
                       $14::varchar[], $15::integer[], $16::varchar[])
)
UPDATE contact.delivery AS delivery
SET sent = given.wanted, base = given.base, sent_at = $8, claims = 0, failures = 0, last_error = NULL,
    is_unknown = false,
    confirm_at = given.confirm_at,
    wanted = delivery.wanted
      + CASE WHEN delivery.wanted = given.wanted AND given.confirm_at IS NOT NULL THEN 1 ELSE 0 END,
    due_at = CASE WHEN delivery.wanted = given.wanted THEN coalesce(given.confirm_at, due_at)
                  ELSE least(due_at, $8) END,
    traceparents = CASE WHEN delivery.wanted = given.wanted THEN traceparents
                        ELSE coalesce(nullif(traceparents[given.traces + 1:], '{{}}'),
                                      traceparents[cardinality(traceparents):]) END,
    {FREE}
FROM taken, {
    GIVEN.format(
        columns="$4::bigint[], $5::jsonb[], $6::timestamptz[], $7::integer[]",
        names="wanted, base, confirm_at, traces",
    )
}
WHERE {HELD_BY_GIVEN}
RETURNING given.contact_id, given.platform, given.token, delivery.wanted > sent AND due_at <= $8 AS is_due
"""  # noqa: S608 -- constants of this module

FAIL = f"""
UPDATE contact.delivery
SET failures = failures + 1, due_at = $4, last_error = $5, is_unknown = is_unknown OR $6, {FREE}
WHERE {HELD}
"""  # noqa: S608 -- constants of this module

GIVE_BACK = f"UPDATE contact.delivery SET claims = claims - 1, {FREE} WHERE {HELD}"  # noqa: S608 -- constants of this module

RECORD = """
INSERT INTO contact.delivery_log
  (recorded_at, contact_id, platform, request, outcome, error, duration_ms, traceparent)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
LOGGED = 8
"""Number of the log's columns that are written."""


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that this worker holds. `wanted` is what it settles, whatever is marked meanwhile."""

    contact_id: UUID
    platform: str
    wanted: int
    base: SentHashes
    is_unknown: bool
    confirm_at: datetime | None
    failures: int
    traceparents: Sequence[str]
    lease: Lease

    @property
    def key(self) -> tuple[UUID, str, UUID]:
        """The values that a statement must match, so that it touches the row only while it is held."""
        return (self.contact_id, self.platform, self.lease.token)


@dataclass(frozen=True, slots=True)
class DeliveryLogEntry:
    """Outcome of one request: `success`, `failure` or `unknown`. The error quotes no personal data."""

    request: str
    outcome: str
    error: str | None
    duration_ms: int
    recorded_at: datetime
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class SendIntent:
    """A send that is about to begin: `base` is what the platform may hold from then on."""

    claimed: ClaimedDelivery
    base: SentHashes


@dataclass(frozen=True, slots=True)
class SuccessfulDelivery:
    """A delivery that succeeded: `base` is what the platform holds now, `log_entries` how each request ended.

    `confirm_at` is when the contact goes once more, if it must.
    """

    claimed: ClaimedDelivery
    base: SentHashes
    confirm_at: datetime | None
    log_entries: Sequence[DeliveryLogEntry]


async def claim(
    connection: Connection,
    platform: str,
    lease: Lease,
    now: datetime,
    limit: int,
    *,
    is_suspect: bool = False,
) -> list[ClaimedDelivery]:
    """Take up to `limit` deliveries that are due, suspect ones or others; return live ones first."""
    await connection.execute(IN_ORDER)
    statement = CLAIM_SUSPECT if is_suspect else CLAIM
    rows = await connection.fetch(statement, lease.owner, lease.token, lease.duration, platform, now, limit)
    claimed = [
        ClaimedDelivery(**{**row, "base": json.loads(row["base"] or "{}")}, lease=lease) for row in rows
    ]
    return sorted(claimed, key=lambda delivery: delivery.failures)


async def intend(connection: Connection, intents: Sequence[SendIntent]) -> list[bool]:
    """Write down, before anything is sent, what the platform may hold from now on; renew the leases.

    One statement. Return which of them are held: for another one nothing may be sent.
    """
    bases = [json.dumps(intent.base) for intent in intents]
    leases = [intent.claimed.lease.duration for intent in intents]
    rows = await connection.fetch(INTEND, *_keys(intents), bases, leases)
    # By the token, too: a claim that lost its lease may stand beside the claim that holds it now.
    held = {_key(row) for row in rows}
    return [intent.claimed.key in held for intent in intents]


async def succeed(
    connection: Connection, successes: Sequence[SuccessfulDelivery], now: datetime
) -> list[bool | None]:
    """Settle deliveries that succeeded and log their requests; return which are due again immediately.

    One statement. A delivery is due again if it was marked meanwhile. None stands for one that is no longer
    held: of that nothing was written but the answers. After an outcome that was unknown, the row stays
    wanted until a minute has passed: a request that was lost on its way may still arrive and overwrite what
    was sent since.
    """
    claimed = [success.claimed for success in successes]
    values = (
        [delivery.wanted for delivery in claimed],
        [json.dumps(success.base) for success in successes],
        [success.confirm_at for success in successes],
        [len(delivery.traceparents) for delivery in claimed],
    )
    logged = [_logged(success.claimed, entry) for success in successes for entry in success.log_entries]
    columns = zip(*logged, strict=True) if logged else [()] * LOGGED
    rows = await connection.fetch(SUCCEED, *_keys(successes), *values, now, *map(list, columns))
    due = {_key(row): row["is_due"] for row in rows}
    return [due.get(delivery.key) for delivery in claimed]


def _key(row: asyncpg.Record) -> tuple[UUID, str, UUID]:
    return (row["contact_id"], row["platform"], row["token"])


def _keys(given: Sequence[SendIntent | SuccessfulDelivery]) -> tuple[list[Any], ...]:
    keys = [sent.claimed.key for sent in given]
    return tuple([key[number] for key in keys] for number in range(3))


async def fail(
    connection: Connection, claimed: ClaimedDelivery, error: str, now: datetime, *, is_unknown: bool
) -> bool:
    """Settle a delivery that failed: it waits for its retry. Return False if it is no longer held."""
    due_at = now + retry_delay(claimed.failures + 1)
    status = await connection.execute(FAIL, *claimed.key, due_at, error, is_unknown)
    return affected(status) == 1


async def give_back(connection: Connection, claimed: ClaimedDelivery) -> None:
    """Let go of a delivery without having sent anything; it stays due."""
    await connection.execute(GIVE_BACK, *claimed.key)


async def record(
    connection: Connection, claimed: ClaimedDelivery, entries: Iterable[DeliveryLogEntry]
) -> None:
    """Log the outcome of each request."""
    rows = [_logged(claimed, entry) for entry in entries]
    if rows:
        await connection.executemany(RECORD, rows)


def _logged(claimed: ClaimedDelivery, entry: DeliveryLogEntry) -> tuple[Any, ...]:
    """Return an outcome as a row of the log, in the order of its columns."""
    return (
        entry.recorded_at,
        claimed.contact_id,
        claimed.platform,
        entry.request,
        entry.outcome,
        entry.error,
        entry.duration_ms,
        entry.traceparent,
    )
