"""Hints: events that we write ourselves to have an object fetched. Only ingest writes mirrors.

A hint says nothing of the object but that it may have changed; it is recorded as any event, in the
transaction of whoever knows, and its reader fetches. Where there is no API key it changes nothing.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from uuid_utils import uuid7

from mainstem.common.database.pool import Connection, Transactions
from mainstem.common.database.texts import check
from mainstem.common.telemetry import spans

HINT = "mainstem.hint"
"""The type of these events; no provider has it."""
PREFIX = "op:"
"""Prefix of the hints' ids."""
POLL_SECONDS = 0.05

# Whoever may insert may not read what is there, and therefore cannot say what to do on a conflict.
INSERT = f"""
INSERT INTO inbox.event
  (provider, account, event_id, type, object_type, object_id, livemode, body, traceparent, status,
   recorded_at, due_at)
SELECT provider, account, event_id, '{HINT}', object_type, object_id, livemode, '', $7, 'received', $8, $8
FROM unnest($1::varchar[], $2::varchar[], $3::varchar[], $4::varchar[], $5::varchar[], $6::boolean[])
  AS new (provider, account, event_id, object_type, object_id, livemode)
"""  # noqa: S608 -- a constant of this module

OPEN = """
SELECT count(*)
FROM unnest($1::varchar[], $2::varchar[], $3::varchar[]) AS asked (provider, account, event_id)
JOIN inbox.v1_hint AS hint USING (provider, account, event_id)
WHERE hint.status = 'received'
"""


@dataclass(frozen=True, slots=True)
class Hint:
    """An object that may have changed. `livemode` is the side of the account it is on."""

    provider: str
    account: str
    object_type: str
    object_id: str
    livemode: bool


@dataclass(frozen=True, slots=True)
class Written:
    """A hint in the inbox, by what it is found again."""

    provider: str
    account: str
    event_id: str


async def write(connection: Connection, hints: Sequence[Hint], now: datetime) -> list[Written]:
    """Record hints in the caller's transaction; whoever commits wakes ingest.

    Each call records new ones: what was fetched for an older hint may be older than what is hinted at.

    Raises:
        BadRequestError: an account, a type or an id is too long, or cannot be stored.
    """
    for one in hints:
        check(account=one.account, object_type=one.object_type, object_id=one.object_id)
    written = [Written(one.provider, one.account, f"{PREFIX}{uuid7()}") for one in hints]
    rows = [
        (*_key(key), one.object_type, one.object_id, one.livemode)
        for key, one in zip(written, hints, strict=True)
    ]
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        await connection.execute(INSERT, *columns, spans.traceparent(), now)
    return written


async def wait(database: Transactions, hints: Sequence[Written], seconds: float) -> bool:
    """Wait until the hints are worked off; return whether they are, after so many seconds at most.

    A hint that was laid aside, or that nobody knows any more, is not waited for.
    """
    give_up_at = time.monotonic() + seconds
    while await _are_open(database, hints):
        if time.monotonic() >= give_up_at:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True


async def _are_open(database: Transactions, hints: Sequence[Written]) -> bool:
    columns = [list(column) for column in zip(*map(_key, hints), strict=True)]
    if not columns:
        return False
    async with database.transaction() as connection:
        return bool(await connection.fetchval(OPEN, *columns))


def _key(one: Written) -> tuple[str, str, str]:
    return (one.provider, one.account, one.event_id)
