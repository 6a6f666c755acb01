"""Inbox recording: each event is inserted once (stop 2). Claiming is in ingest."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mainstem.common.database.pool import Connection

NAMES = (
    "provider",
    "account",
    "event_id",
    "type",
    "object_type",
    "object_id",
    "created",
    "api_version",
    "livemode",
    "body",
    "traceparent",
    "status",
    "last_error",
)
"""Columns that an event is stored by."""

# The account's side is that of its first signed event, in the commit of that event, unless it has one before.
INSERT = f"""
WITH side AS (
  UPDATE inbox.account AS known SET livemode = first.livemode
  FROM unnest($15::varchar[], $16::varchar[], $17::boolean[]) AS first (provider, account, livemode)
  WHERE known.provider = first.provider AND known.account = first.account AND known.livemode IS NULL
    AND NOT EXISTS (
      SELECT FROM inbox.account AS above
      WHERE above.provider = known.provider AND above.account = known.parent AND above.livemode IS NOT NULL
    )
)
INSERT INTO inbox.event ({", ".join(NAMES)}, recorded_at, due_at)
SELECT *, $14::timestamptz, $14::timestamptz
FROM unnest($1::varchar[], $2::varchar[], $3::varchar[], $4::varchar[], $5::varchar[], $6::varchar[],
            $7::timestamptz[], $8::varchar[], $9::boolean[], $10::bytea[], $11::varchar[], $12::varchar[],
            $13::varchar[])
ON CONFLICT (provider, account, event_id) DO UPDATE
SET status = excluded.status, last_error = excluded.last_error, failures = 0, claims = 0,
  due_at = excluded.due_at
WHERE event.status = 'dead'
RETURNING status
"""  # noqa: S608 -- a constant of this module

# The parent's row is locked while a connected account is added: a change of the parent's mode goes before it,
# and is seen here, or after it, and changes this account too.
OWN = """
WITH named AS (
  SELECT * FROM unnest($1::varchar[], $2::varchar[], $3::varchar[], $4::boolean[])
    WITH ORDINALITY AS named (provider, account, owner_id, livemode, place)
), known AS MATERIALIZED (
  SELECT provider, account, provider_id, livemode FROM inbox.account
  WHERE provider = ANY($1) AND account = ANY($5) AND provider_id IS NOT NULL
), owned AS MATERIALIZED (
  SELECT named.*, coalesce(
    (SELECT known.account FROM known
     WHERE known.provider = named.provider AND known.provider_id = named.owner_id
     ORDER BY known.account <> named.account, known.livemode IS DISTINCT FROM named.livemode, known.account
     LIMIT 1),
    CASE WHEN named.owner_id = ANY($5) THEN named.owner_id END
  ) AS configured
  FROM named
), new AS MATERIALIZED (
  SELECT DISTINCT ON (provider, owner_id) provider, owner_id, account FROM owned
  WHERE configured IS NULL AND NOT EXISTS (
    SELECT FROM inbox.account
    WHERE provider = owned.provider AND account = owned.owner_id AND parent = ANY($5)
  )
  ORDER BY provider, owner_id, place
), above AS (
  SELECT provider, account, mode FROM inbox.account
  WHERE (provider, account) IN (SELECT provider, account FROM new) ORDER BY provider, account FOR SHARE
), added AS (
  INSERT INTO inbox.account AS old (provider, account, mode, parent, provider_id)
  SELECT new.provider, new.owner_id, coalesce(above.mode, 'payload'), new.account, new.owner_id
  FROM new LEFT JOIN above USING (provider, account) ORDER BY new.provider, new.owner_id
  ON CONFLICT (provider, account) DO UPDATE
  SET parent = excluded.parent, provider_id = excluded.provider_id, mode = excluded.mode,
    epoch = old.epoch + (old.mode <> excluded.mode)::integer
  WHERE old.parent IS NULL OR old.parent <> ALL($5)
)
SELECT coalesce(configured, owner_id) FROM owned ORDER BY place
"""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event as it came in.

    `status` is `received`, or `ignored` for a type that is not worked on, or `dead` for an event that should
    be worked on and cannot be; `last_error` then says why. `account` is the receiving account. `owner_id` is
    the provider's id of the account that the event is about, where the event names one; `is_signed` says that
    the provider vouches for its `livemode`.
    """

    provider: str
    account: str
    event_id: str
    type: str
    object_type: str | None
    object_id: str | None
    created: datetime | None
    api_version: str | None
    livemode: bool | None
    body: bytes
    traceparent: str | None
    status: str
    last_error: str | None = None
    owner_id: str | None = None
    is_signed: bool = False

    @property
    def identity(self) -> tuple[str, str, str]:
        """The key by which two deliveries are the same event."""
        return (self.provider, self.account, self.event_id)


async def insert(
    connection: Connection, events: Sequence[NewEvent], now: datetime, configured: Collection[str] = ()
) -> int:
    """Store events, once each, by one statement; return how many there are to work on. Safe to repeat.

    One statement more finds the owners of events that name them: a configured account, or a connected one,
    which is added. `configured` names the accounts that have settings, besides the receiving ones.

    A duplicate changes nothing, but a redelivery of a dead event revives it, unless that is dead again.
    The rows go in order of their identity, so that two writers never deadlock.

    Raises:
        asyncpg.DataError: a value cannot be stored (a NUL in a text, for one); nothing was.
    """
    owned = await _owned(connection, events, configured)
    unique = {event.identity: event for event in owned}
    ordered = [unique[identity] for identity in sorted(unique)]
    columns = [[getattr(event, name) for event in ordered] for name in NAMES]
    rows = await connection.fetch(INSERT, *columns, now, *_first_sides(ordered))
    return sum(row["status"] == "received" for row in rows)


def _first_sides(events: Sequence[NewEvent]) -> tuple[list[str], list[str], list[bool]]:
    """Return each account with the side of its first signed event, as columns."""
    sides: dict[tuple[str, str], bool] = {}
    for event in events:
        if event.is_signed and event.livemode is not None:
            sides.setdefault((event.provider, event.account), event.livemode)
    keys = list(sides)
    return [provider for provider, _ in keys], [account for _, account in keys], list(sides.values())


async def _owned(
    connection: Connection, events: Sequence[NewEvent], configured: Collection[str]
) -> list[NewEvent]:
    """Return the events with their owners in the place of the receiving accounts."""
    named = [event for event in events if event.owner_id is not None]
    if not named:
        return list(events)
    names = ("provider", "account", "owner_id", "livemode")
    columns = [[getattr(event, name) for event in named] for name in names]
    accounts = sorted({*configured, *(event.account for event in named)})
    rows = await connection.fetch(OWN, *columns, accounts)
    owners = {id(event): row[0] for event, row in zip(named, rows, strict=True)}
    return [replace(event, account=owners.get(id(event), event.account)) for event in events]
