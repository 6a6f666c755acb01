"""Scheduling of claims: the accounts with due events that a worker serves next, in turns."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainstem.common.database.pool import Connection
from mainstem.ingest.accounts import connected

SUSPICIOUS_CLAIMS = 3
"""Claims of an event that may end without a result; with more it runs alone."""
WALK_STEPS = 200
"""Accounts with open events that one statement looks at, at most."""
MOST_WALKS = 5
"""Such statements of one claim, at most; the next claim goes on where it ended."""

_OPEN = "status = 'received' AND provider = $1 AND failures {failures} 0"
_NEXT = f"""(
  SELECT min(account) FROM (
    SELECT * FROM (SELECT account FROM inbox.event WHERE {_OPEN.format(failures="=")} AND account > {{after}}
                   ORDER BY account LIMIT 1) AS live
    UNION ALL
    SELECT * FROM (SELECT account FROM inbox.event WHERE {_OPEN.format(failures=">")} AND account > {{after}}
                   ORDER BY account LIMIT 1) AS retry
  ) AS next
)"""  # noqa: S608 -- constants of this module
_UNHELD = "(lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())"
_DUE = f"""{{open}} AND account = {{account}} AND due_at <= $2
    AND {_UNHELD}
    AND claims - failures {{condition}} {SUSPICIOUS_CLAIMS}"""


def due(failures: str, account: str, condition: str) -> str:
    """Return the SQL condition of events that are due and free, by the operators of its two counts."""
    return _DUE.format(open=_OPEN.format(failures=failures), account=account, condition=condition)


# From account to account by the index, and never over the events of one.
WALK = f"""
WITH RECURSIVE walk (account, step) AS (
  SELECT {_NEXT.format(after="$3::varchar")}, 1
  UNION ALL
  SELECT {_NEXT.format(after="walk.account")}, step + 1 FROM walk
  WHERE account IS NOT NULL AND step < {WALK_STEPS} AND ($4::varchar IS NULL OR account < $4)
)
SELECT walk.account, {connected.COLUMNS}, NOT {connected.IS_STOPPED}
  AND (EXISTS (SELECT FROM inbox.event WHERE {due("=", "walk.account", "<")})
    OR EXISTS (SELECT FROM inbox.event WHERE {due(">", "walk.account", "<")})) AS is_due
FROM walk {connected.STANDING.format(account="walk.account")}
WHERE walk.account IS NOT NULL AND ($4::varchar IS NULL OR walk.account <= $4)
ORDER BY step
"""  # noqa: S608 -- constants of this module

SUSPECTS = f"""
SELECT event.account, {connected.COLUMNS}
FROM inbox.event {connected.STANDING.format(account="event.account")}
WHERE status = 'received' AND provider = $1 AND due_at <= $2
  AND {_UNHELD}
  AND claims - failures >= {SUSPICIOUS_CLAIMS} AND NOT {connected.IS_STOPPED}
ORDER BY due_at, id LIMIT {WALK_STEPS}
"""  # noqa: S608 -- constants of this module


@dataclass(frozen=True, slots=True)
class DueAccount:
    """An account whose events are taken next, `room` at most, with its recorded parent and epoch."""

    account: str
    parent: str | None
    epoch: int
    room: int


@dataclass(slots=True)
class Queue:
    """Events of some configured accounts at one provider, and of those connected to them, claimed by turns.

    `last` is the account whose turn was the last one: a claim goes on after it. `is_long` says that the last
    claim left events of some account behind.
    """

    provider: str
    accounts: Collection[str]
    mode: str = ""
    last: str = ""
    is_long: bool = False

    def due_account(self, row: Mapping[str, Any], room: Callable[[str], int]) -> DueAccount | None:
        """Return an account by its row of WALK or SUSPECTS, None if it is not served here or has no room."""
        account = row["account"]
        if not connected.is_served(row, account, self.accounts, self.mode):
            return None
        most = room(account)
        return DueAccount(account, row["parent"], row["epoch"], most) if most > 0 else None


async def find_due_accounts(
    connection: Connection, queue: Queue, now: datetime, limit: int, room: Callable[[str], int]
) -> list[DueAccount]:
    """Return the next accounts, after the last one, that have something due and room, with their room."""
    due_accounts: list[DueAccount] = []
    start = after = queue.last
    until: str | None = None
    for _ in range(MOST_WALKS):
        rows = await connection.fetch(WALK, queue.provider, now, after, until)
        for row in rows:
            queue.last = after = row["account"]
            if row["is_due"] and (due_account := queue.due_account(dict(row), room)) is not None:
                due_accounts.append(due_account)
                if len(due_accounts) == limit:
                    return due_accounts
        if len(rows) < WALK_STEPS:
            # The end of the accounts, or of the circle: what came before the start has its turn now.
            if until is not None or start == "":
                break
            after, until = "", start
    return due_accounts


async def find_suspect(
    connection: Connection, queue: Queue, now: datetime, room: Callable[[str], int]
) -> list[DueAccount]:
    """Return the account of the first event that may be what ends its workers, if there is one."""
    rows = await connection.fetch(SUSPECTS, queue.provider, now)
    found = (one for row in rows if (one := queue.due_account(dict(row), room)) is not None)
    return [one for one in (next(found, None),) if one is not None]
