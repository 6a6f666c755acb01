"""Claims on events of the inbox: claim, settle, give back, retry, dead letter."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from mainstem.common.database.pool import Connection
from mainstem.common.queue.lease import IN_ORDER, Lease, affected, demand_all, retry_delay
from mainstem.ingest.accounts import connected
from mainstem.ingest.inbox.scheduling import DueAccount, Queue, due, find_due_accounts, find_suspect

_CLAIM = """
WITH due AS MATERIALIZED (
  SELECT due.id FROM unnest($3::varchar[], $4::integer[]) AS turn (account, room)
  CROSS JOIN LATERAL (
    SELECT * FROM (SELECT id FROM inbox.event WHERE {live}
                   ORDER BY due_at, id LIMIT turn.room FOR UPDATE SKIP LOCKED) AS live
    UNION ALL
    SELECT * FROM (SELECT id FROM inbox.event WHERE {retry}
                   ORDER BY due_at, id LIMIT turn.room FOR UPDATE SKIP LOCKED) AS retry
    LIMIT turn.room
  ) AS due
)
UPDATE inbox.event AS event
SET lease_owner = $5, lease_token = $6, lease_expires_at = clock_timestamp() + $7, claims = claims + 1
WHERE id = ANY(ARRAY(SELECT id FROM due))
RETURNING id, account, event_id, type, object_type, object_id, created, livemode, body, traceparent,
  recorded_at, failures
"""
# Of each account live events go before retries: the parts of a UNION ALL are read one after the other.
CLAIM = _CLAIM.format(live=due("=", "turn.account", "<"), retry=due(">", "turn.account", "<"))
CLAIM_SUSPECT = _CLAIM.format(live=due("=", "turn.account", ">="), retry=due(">", "turn.account", ">="))

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


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """An event that this worker holds a lease on; `id` is the order of recording.

    `parent`, `epoch` and `account_livemode` are its account's: None, 0 and None where they are not known.
    """

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
    parent: str | None = None
    epoch: int = 0
    account_livemode: bool | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Reason why an event failed; `is_own`: by its own fault; `is_final`: no retry can help."""

    event: ClaimedEvent
    reason: str
    is_own: bool
    is_final: bool = False


async def claim(
    connection: Connection,
    lease: Lease,
    queue: Queue,
    now: datetime,
    limit: int,
    *,
    room: Callable[[str], int] | None = None,
) -> list[ClaimedEvent]:
    """Take up to `limit` events that are due, as many of each account; return them by order of recording.

    Of an account new events go before retries, each by order of recording. `room` says how many events of an
    account may be taken; it is called for accounts that have something due, and those with room get a turn.
    """
    await connection.execute(IN_ORDER)
    due_accounts = await find_due_accounts(connection, queue, now, limit, room or (lambda _: limit))
    share = limit // max(1, len(due_accounts))
    events = await _claim(connection, CLAIM, lease, queue, now, due_accounts=due_accounts, share=share)
    queue.is_long = share in Counter(event.account for event in events).values()
    return events


async def claim_suspect(
    connection: Connection,
    lease: Lease,
    queue: Queue,
    now: datetime,
    *,
    room: Callable[[str], int] = lambda _: 1,
) -> list[ClaimedEvent]:
    """Take one event whose claims came to nothing again and again: it may be what ends its workers."""
    await connection.execute(IN_ORDER)
    due_accounts = await find_suspect(connection, queue, now, room)
    return await _claim(connection, CLAIM_SUSPECT, lease, queue, now, due_accounts=due_accounts, share=1)


async def _claim(
    connection: Connection,
    statement: str,
    lease: Lease,
    queue: Queue,
    now: datetime,
    *,
    due_accounts: Sequence[DueAccount],
    share: int,
) -> list[ClaimedEvent]:
    accounts = {one.account: one for one in due_accounts}
    if not accounts:
        return []
    rooms = [min(share, one.room) for one in accounts.values()]
    values = (queue.provider, now, list(accounts), rooms, lease.owner, lease.token, lease.duration)
    rows = await connection.fetch(statement, *values)
    # Read after the claim: the livemode is written no later than the first event that shows it.
    livemodes = await connected.find_livemodes(connection, queue.provider, {row["account"] for row in rows})
    found = ((row, accounts[row["account"]]) for row in rows)
    events = (
        ClaimedEvent(**row, parent=one.parent, epoch=one.epoch, account_livemode=livemodes.get(one.account))
        for row, one in found
    )
    return sorted(events, key=lambda event: event.id)


async def settle(connection: Connection, lease: Lease, events: Sequence[ClaimedEvent], now: datetime) -> None:
    """Mark claimed events as done.

    Raises:
        LeaseLostError: not all of them are still held; the caller's transaction must roll back.
    """
    status = await connection.execute(DONE, [event.id for event in events], lease.token, now)
    demand_all(affected(status), len(events))


async def give_back(connection: Connection, lease: Lease, events: Sequence[ClaimedEvent]) -> None:
    """Free those of the claimed events that are still held, as if they had never been claimed."""
    await connection.execute(GIVE_BACK, [event.id for event in events], lease.token)


async def fail(
    connection: Connection, lease: Lease, failures: Sequence[Failure], now: datetime, failures_to_dead: int
) -> int:
    """Have claimed events tried again later, and lay aside those that failed often enough by their own fault.

    Those that failed for good are laid aside at once.

    Returns how many died.

    Raises:
        LeaseLostError: not all of them are still held; the caller's transaction must roll back.
    """
    dies = [_dies(one, failures_to_dead) for one in failures]
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


def _dies(one: Failure, failures_to_dead: int) -> bool:
    return one.is_final or (one.is_own and one.event.failures + 1 >= failures_to_dead)
