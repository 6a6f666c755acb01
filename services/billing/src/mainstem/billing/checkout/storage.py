"""Storage of reservations: at most one live checkout of a product by an account, leased by one process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from uuid_utils import uuid7

from mainstem.billing.checkout.status import CheckoutStatus
from mainstem.common.database.pool import Connection
from mainstem.common.queue.lease import IN_ORDER, Lease, affected, demand_all, retry_delay

CREATING, OPEN, DONE, EXPIRED, FAILED = "creating", "open", "done", "expired", "failed"

ENDINGS: Mapping[CheckoutStatus, str] = {
    CheckoutStatus.DONE: DONE,
    CheckoutStatus.EXPIRED: EXPIRED,
    CheckoutStatus.FAILED: FAILED,
}
"""Final status of a reservation by the status of its checkout; the others keep the reservation live."""

AFTER_EXPIRY = timedelta(minutes=1)
"""Time from the end of a session to its last look."""
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
STORE_HINTS = "UPDATE billing.reservation SET hints = $2, updated_at = $3 WHERE id = $1"


@dataclass(frozen=True, slots=True)
class Reservation:
    """Reservation of a checkout; `request` has the parameters sent under this attempt's key, None before."""

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
        """Idempotency key of this attempt's session."""
        return f"reservation:{self.id}:{self.attempt}"

    @property
    def metadata(self) -> Mapping[str, str]:
        """Metadata of its session, by which the session can be found again."""
        return {"mainstem_reservation": str(self.id), "mainstem_attempt": str(self.attempt)}


@dataclass(frozen=True, slots=True)
class ReservationClaim:
    """Live reservation of an account and a product; `is_ours` says that the caller's lease holds it."""

    reservation: Reservation
    is_ours: bool


@dataclass(frozen=True, slots=True)
class CheckoutRequest:
    """Checkout that is requested: account, product and price."""

    account_id: UUID
    product: str
    price: str


async def claim(
    connection: Connection, checkout: CheckoutRequest, lease: Lease, now: datetime
) -> ReservationClaim:
    """Return the live reservation, a new one if there is none; lease it unless another process holds it.

    An open reservation holds no lease: its Checkout session already exists.
    """
    await connection.execute(LOCK, checkout.account_id)
    row = await connection.fetchrow(LIVE, checkout.account_id, checkout.product)
    if row is not None and (row["status"] == OPEN or row["is_held"]):
        return ReservationClaim(_reservation(row), is_ours=False)
    if row is None:
        reservation_id = UUID(str(uuid7()))
        await connection.execute(
            INSERT, reservation_id, checkout.account_id, checkout.product, checkout.price, now
        )
    else:
        reservation_id = row["id"]
    held = await connection.fetchrow(HOLD, lease.owner, lease.token, lease.duration, reservation_id)
    assert held is not None  # noqa: S101 -- the account's lock is held
    return ReservationClaim(_reservation(held), is_ours=True)


async def claim_due(connection: Connection, lease: Lease, now: datetime, limit: int) -> list[Reservation]:
    """Lease up to `limit` live reservations that are due and that no process holds."""
    await connection.execute(IN_ORDER)
    rows = await connection.fetch(CLAIM, lease.owner, lease.token, lease.duration, now, limit)
    return [_reservation(row) for row in rows]


async def find_by_session(connection: Connection, session: str) -> Reservation | None:
    """Return the reservation of a session, None if there is none."""
    row = await connection.fetchrow(BY_SESSION, session)
    return None if row is None else _reservation(row)


async def store_request(
    connection: Connection,
    lease: Lease,
    reservation: Reservation,
    request: Mapping[str, Any],
    now: datetime,
) -> None:
    """Store the parameters of the session before they are sent under the attempt's key.

    Raises:
        LeaseLostError: another process holds the reservation; here and below.
    """
    body, price = msgspec.json.encode(request).decode(), request["line_items"][0]["price"]
    _demand(await connection.execute(REQUEST, reservation.id, lease.token, body, now, price))


async def store_session(
    connection: Connection, lease: Lease, reservation: Reservation, session: Mapping[str, Any], now: datetime
) -> None:
    """Store the session of a reservation, and end the lease."""
    expires_at = datetime.fromtimestamp(session["expires_at"], now.tzinfo)
    # A session that was found later may have ended meanwhile.
    due_at = next_look(session, now, now) if session["status"] == "open" else now
    values = (session["id"], session.get("url"), expires_at, due_at, now)
    _demand(await connection.execute(OPENED, reservation.id, lease.token, *values))


def next_look(session: Mapping[str, Any], opened_at: datetime, now: datetime) -> datetime:
    """Return the time of the next look at a session that has not ended.

    The age of an open session doubles between two looks, so that many idle ones cost little; the last look
    follows its end. A session with a pending payment is due every hour.
    """
    if session["status"] != "open":
        return now + LOOK
    ends_at = datetime.fromtimestamp(session["expires_at"], now.tzinfo) + AFTER_EXPIRY
    return min(now + max(LOOK, now - opened_at), max(ends_at, now + AFTER_EXPIRY))


async def look_later(
    connection: Connection, lease: Lease, reservation: Reservation, due_at: datetime, now: datetime
) -> None:
    """Release a reservation and set the time of its next look."""
    _demand(await connection.execute(LATER, reservation.id, lease.token, due_at, now))


async def look_soon(connection: Connection, reservation: Reservation, now: datetime) -> None:
    """Make an open reservation due for the worker now."""
    await connection.execute(SOON, reservation.id, now)


async def renew(
    connection: Connection, lease: Lease, reservation: Reservation, reason: str, now: datetime
) -> None:
    """Start a new attempt under a new key, after one that certainly created nothing."""
    due_at = now + retry_delay(reservation.failures + 1)
    _demand(await connection.execute(RENEW, reservation.id, lease.token, reason, due_at, now))


async def release(
    connection: Connection, lease: Lease, reservation: Reservation, reason: str, now: datetime
) -> None:
    """Release a reservation with its key: the outcome of its attempt is unknown."""
    due_at = now + retry_delay(reservation.failures + 1)
    _demand(await connection.execute(RELEASE, reservation.id, lease.token, reason, due_at, now))


async def end(
    connection: Connection, lease: Lease, reservation: Reservation, status: str, now: datetime
) -> None:
    """End a reservation that the lease holds."""
    _demand(await connection.execute(END, reservation.id, lease.token, status, now))


async def close(connection: Connection, reservation: Reservation, status: str, now: datetime) -> bool:
    """End a reservation whose session has ended; return whether this call did.

    Safe to repeat and to run concurrently.
    """
    return bool(
        affected(await connection.execute(CLOSE, reservation.id, reservation.session_id, status, now))
    )


async def store_hints(
    connection: Connection, reservation: Reservation, hints: Sequence[str], now: datetime
) -> None:
    """Store the ids of the hints that were written for the purchase."""
    await connection.execute(STORE_HINTS, reservation.id, list(hints), now)


def _demand(status: str) -> None:
    demand_all(affected(status), 1)


def _reservation(row: asyncpg.Record) -> Reservation:
    values = {name: row[name] for name in Reservation.__slots__}
    if values["request"] is not None:
        values["request"] = msgspec.json.decode(values["request"])
    return Reservation(**values)
