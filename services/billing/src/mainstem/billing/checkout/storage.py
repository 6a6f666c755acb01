"""Reservations in the database: at most one live checkout of a product by an account, held by one process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from uuid_utils import uuid7

from mainstem.billing.checkout.stages import Stage
from mainstem.common.database.pool import Connection
from mainstem.common.queue.lease import IN_ORDER, Lease, affected, demand_all, retry_delay

CREATING, OPEN, DONE, EXPIRED, FAILED = "creating", "open", "done", "expired", "failed"

ENDINGS: Mapping[Stage, str] = {Stage.DONE: DONE, Stage.EXPIRED: EXPIRED, Stage.FAILED: FAILED}
"""Final status of a reservation by the stage of its session; the other stages keep its place."""

AFTER_EXPIRY = timedelta(minutes=1)
"""How long after its end a session is asked what became of it."""
LOOK = timedelta(hours=1)
"""Age of a session at its first look, and interval of the looks while its payment is pending."""

COLUMNS = (
    "id, account_id, product, price, status, attempt, request, requested_at, session_id, url, hints, failures"
)

LOCK = "SELECT FROM billing.account WHERE id = $1 FOR UPDATE"
LIVE = f"""
SELECT {COLUMNS}, coalesce(lease_expires_at > clock_timestamp(), false) AS is_held FROM billing.reservation
WHERE account_id = $1 AND product = $2 AND status IN ('creating', 'open')
FOR UPDATE
"""  # noqa: S608 -- constants of this module
INSERT = """
INSERT INTO billing.reservation (id, account_id, product, price, status, created_at, updated_at, due_at)
VALUES ($1, $2, $3, $4, 'creating', $5, $5, $5)
"""
HOLD = f"""
UPDATE billing.reservation
SET lease_owner = $1, lease_token = $2, lease_expires_at = clock_timestamp() + $3, claims = claims + 1
WHERE id = $4
RETURNING {COLUMNS}
"""  # noqa: S608 -- as above
CLAIM = f"""
UPDATE billing.reservation
SET lease_owner = $1, lease_token = $2, lease_expires_at = clock_timestamp() + $3, claims = claims + 1
WHERE id = ANY(ARRAY(
  SELECT id FROM billing.reservation
  WHERE status IN ('creating', 'open') AND due_at <= $4
    AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
  ORDER BY due_at LIMIT $5 FOR UPDATE SKIP LOCKED
))
RETURNING {COLUMNS}
"""  # noqa: S608 -- as above
BY_SESSION = f"SELECT {COLUMNS} FROM billing.reservation WHERE session_id = $1"  # noqa: S608 -- as above

_FREE = "lease_owner = NULL, lease_token = NULL, lease_expires_at = NULL"
_HELD = "id = $1 AND lease_token = $2 AND status IN ('creating', 'open')"
REQUEST = f"""
UPDATE billing.reservation SET request = $3, requested_at = $4, price = $5, updated_at = $4 WHERE {_HELD}
"""  # noqa: S608 -- as above
OPENED = f"""
UPDATE billing.reservation
SET status = 'open', session_id = $3, url = $4, expires_at = $5, due_at = $6, updated_at = $7, failures = 0,
  last_error = NULL, {_FREE}
WHERE {_HELD}
"""  # noqa: S608 -- as above
RENEW = f"""
UPDATE billing.reservation
SET attempt = attempt + 1, request = NULL, requested_at = NULL, failures = failures + 1, last_error = $3,
  due_at = $4, updated_at = $5, {_FREE}
WHERE {_HELD}
"""  # noqa: S608 -- as above
RELEASE = f"""
UPDATE billing.reservation SET failures = failures + 1, last_error = $3, due_at = $4, updated_at = $5, {_FREE}
WHERE {_HELD}
"""  # noqa: S608 -- as above
LATER = f"UPDATE billing.reservation SET due_at = $3, updated_at = $4, {_FREE} WHERE {_HELD}"  # noqa: S608 -- as above
SOON = "UPDATE billing.reservation SET due_at = least(due_at, $2) WHERE id = $1 AND status = 'open'"
END = f"UPDATE billing.reservation SET status = $3, updated_at = $4, {_FREE} WHERE {_HELD}"  # noqa: S608 -- as above
CLOSE = f"""
UPDATE billing.reservation SET status = $3, updated_at = $4, {_FREE}
WHERE id = $1 AND session_id = $2 AND status = 'open'
"""  # noqa: S608 -- as above
HINTED = "UPDATE billing.reservation SET hints = $2, updated_at = $3 WHERE id = $1"


@dataclass(frozen=True, slots=True)
class Reservation:
    """A checkout. `request` is what was asked for under this attempt's key, None if nothing was yet."""

    id: UUID
    account_id: UUID
    product: str
    price: str
    status: str
    attempt: int
    request: Mapping[str, Any] | None
    requested_at: datetime | None
    session_id: str | None
    url: str | None
    hints: Sequence[str]
    failures: int

    @property
    def key(self) -> str:
        """The key under which this attempt's session is made once."""
        return f"reservation:{self.id}:{self.attempt}"

    @property
    def metadata(self) -> Mapping[str, str]:
        """What its session bears, by which it is found again."""
        return {"mainstem_reservation": str(self.id), "mainstem_attempt": str(self.attempt)}


@dataclass(frozen=True, slots=True)
class Claim:
    """The live reservation of an account and a product, and whether this caller is to bring it on."""

    reservation: Reservation
    is_ours: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which account wants to buy what."""

    account_id: UUID
    product: str
    price: str


async def claim(connection: Connection, wanted: Wanted, lease: Lease, now: datetime) -> Claim:
    """Return the live reservation, a new one if there is none; it is ours if nobody else works at it.

    One that is open is nobody's: it has its session.
    """
    await connection.execute(LOCK, wanted.account_id)
    row = await connection.fetchrow(LIVE, wanted.account_id, wanted.product)
    if row is not None and (row["status"] == OPEN or row["is_held"]):
        return Claim(_reservation(row), is_ours=False)
    if row is None:
        found = UUID(str(uuid7()))
        await connection.execute(INSERT, found, wanted.account_id, wanted.product, wanted.price, now)
    else:
        found = row["id"]
    held = await connection.fetchrow(HOLD, lease.owner, lease.token, lease.duration, found)
    assert held is not None  # noqa: S101 -- the account's lock is held
    return Claim(_reservation(held), is_ours=True)


async def claim_due(connection: Connection, lease: Lease, now: datetime, limit: int) -> list[Reservation]:
    """Take up to `limit` live reservations of which it is time to ask what became of them."""
    await connection.execute(IN_ORDER)
    rows = await connection.fetch(CLAIM, lease.owner, lease.token, lease.duration, now, limit)
    return [_reservation(row) for row in rows]


async def find_by_session(connection: Connection, session: str) -> Reservation | None:
    """Return the reservation whose session this is, None if it is none of ours."""
    row = await connection.fetchrow(BY_SESSION, session)
    return None if row is None else _reservation(row)


async def request(
    connection: Connection,
    lease: Lease,
    one: Reservation,
    asked: Mapping[str, Any],
    now: datetime,
) -> None:
    """Write down what is about to be asked for under the attempt's key: it is never asked for otherwise.

    Raises:
        LeaseLostError: somebody else brings it on by now; here and below.
    """
    body, price = msgspec.json.encode(asked).decode(), asked["line_items"][0]["price"]
    _demand(await connection.execute(REQUEST, one.id, lease.token, body, now, price))


async def open_with(
    connection: Connection, lease: Lease, one: Reservation, session: Mapping[str, Any], now: datetime
) -> None:
    """Give the reservation its session."""
    expires_at = datetime.fromtimestamp(session["expires_at"], now.tzinfo)
    # One that was found later may have come to its end meanwhile.
    due_at = next_look(session, now, now) if session["status"] == "open" else now
    values = (session["id"], session.get("url"), expires_at, due_at, now)
    _demand(await connection.execute(OPENED, one.id, lease.token, *values))


def next_look(session: Mapping[str, Any], opened_at: datetime, now: datetime) -> datetime:
    """Return when to look again at a session that has not come to its end.

    An open one is looked at whenever its age has doubled, so that many idle ones cost little, and at its
    end; one whose payment is pending every hour.
    """
    if session["status"] != "open":
        return now + LOOK
    ends_at = datetime.fromtimestamp(session["expires_at"], now.tzinfo) + AFTER_EXPIRY
    return min(now + max(LOOK, now - opened_at), max(ends_at, now + AFTER_EXPIRY))


async def look_later(
    connection: Connection, lease: Lease, one: Reservation, due_at: datetime, now: datetime
) -> None:
    """Give back a reservation whose session is to be looked at again."""
    _demand(await connection.execute(LATER, one.id, lease.token, due_at, now))


async def look_soon(connection: Connection, one: Reservation, now: datetime) -> None:
    """Have the worker look at an open reservation's session now."""
    await connection.execute(SOON, one.id, now)


async def renew(connection: Connection, lease: Lease, one: Reservation, reason: str, now: datetime) -> None:
    """Begin a new attempt under a new key: this one certainly came to nothing."""
    due_at = now + retry_delay(one.failures + 1)
    _demand(await connection.execute(RENEW, one.id, lease.token, reason, due_at, now))


async def release(connection: Connection, lease: Lease, one: Reservation, reason: str, now: datetime) -> None:
    """Let another one bring it on: what became of this attempt is unknown, so its key stays."""
    due_at = now + retry_delay(one.failures + 1)
    _demand(await connection.execute(RELEASE, one.id, lease.token, reason, due_at, now))


async def end(connection: Connection, lease: Lease, one: Reservation, status: str, now: datetime) -> None:
    """Free the place of a reservation that is held."""
    _demand(await connection.execute(END, one.id, lease.token, status, now))


async def close(connection: Connection, one: Reservation, status: str, now: datetime) -> bool:
    """Free the place of a reservation whose session is over; return whether this call did.

    Safe to repeat, and at once.
    """
    return bool(affected(await connection.execute(CLOSE, one.id, one.session_id, status, now)))


async def hinted(connection: Connection, one: Reservation, hints: Sequence[str], now: datetime) -> None:
    """Write down which hints tell of the purchase."""
    await connection.execute(HINTED, one.id, list(hints), now)


def _demand(status: str) -> None:
    demand_all(affected(status), 1)


def _reservation(row: asyncpg.Record) -> Reservation:
    values = {name: row[name] for name in Reservation.__slots__}
    if values["request"] is not None:
        values["request"] = msgspec.json.decode(values["request"])
    return Reservation(**values)
