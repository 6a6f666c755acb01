"""The statements of the cases, which are about CTMS's tables, done to ours: those that are known."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

Match = re.Match[str]

_TIMES = re.compile(r"(create|update)_timestamp\s*=\s*'([^']+)'")
_AGO = re.compile(r"now\(\)\s*(?:([-+])\s*interval\s*'(\d+) (second|minute|hour|day)s?')?")
_OURS = {"create": "created_at", "update": "updated_at"}
_GROUPS = {"emails": "email", "amo": "amo"}


@dataclass(frozen=True)
class Database:
    """Our tables, by the owner's rights, and the world's time."""

    connection: "asyncpg.Pool[asyncpg.Record]"
    now: datetime


async def _set_times(database: Database, match: Match) -> None:
    table, assignments, email_id = match.groups()
    times = {_OURS[name]: datetime.fromisoformat(text) for name, text in _TIMES.findall(assignments)}
    name, condition = _GROUPS.get(table), "" if email_id is None else f" AND contact_id = '{UUID(email_id)}'"
    ours = "contact.newsletter" if name is None else "contact.contact_group"
    only = "true" if name is None else f"name = '{name}'"
    assigned = ", ".join(f"{column} = ${number}" for number, column in enumerate(times, 1))
    await database.connection.execute(
        f"UPDATE {ours} SET {assigned} WHERE {only}{condition}", *times.values()
    )


async def _forget_pending(database: Database, match: Match) -> None:
    condition = "" if match[1] is None else f" AND contact_id = '{UUID(match[1])}'"
    await database.connection.execute(
        "UPDATE contact.delivery SET sent = wanted, failures = 0, is_unknown = false, confirm_at = NULL"
        f" WHERE wanted > sent{condition}"
    )


async def _add_pending(database: Database, match: Match) -> None:
    email_id, retry, _, updated = match.groups()
    await database.connection.execute(
        "UPDATE contact.delivery SET wanted = greatest(wanted, sent + 1), failures = $2, due_at = $3,"
        " wanted_at = $3, confirm_at = NULL WHERE contact_id = $1",
        UUID(email_id),
        int(retry),
        _time(updated, database.now),
    )


async def _enable_client(database: Database, match: Match) -> None:
    enabled, client_id = match[1] == "true", match[2]
    await database.connection.execute(
        "UPDATE gateway.api_client SET enabled = $2 WHERE client_id = $1", client_id, enabled
    )


async def _delete_client(database: Database, match: Match) -> None:
    await database.connection.execute("DELETE FROM gateway.api_client WHERE client_id = $1", match[1])


def _time(text: str, now: datetime) -> datetime:
    ago = _AGO.fullmatch(text)
    if ago is None:
        return datetime.fromisoformat(text.strip("'"))
    if ago[1] is None:
        return now
    span = timedelta(**{f"{ago[3]}s": int(ago[2])})
    return now - span if ago[1] == "-" else now + span


_INSERT = (
    r"insert into pending_acoustic\s*\(email_id,\s*retry,\s*create_timestamp,\s*update_timestamp\)"
    r"\s*values\s*\('([^']+)',\s*(\d+),\s*(now\(\)|'[^']+'),"
    r"\s*(now\(\)(?:\s*[-+]\s*interval '[^']+')?|'[^']+')\)"
)
_KNOWN: dict[str, Callable[[Database, Match], Awaitable[None]]] = {
    r"update (emails|amo|newsletters) set ((?:(?:create|update)_timestamp\s*=\s*'[^']+'(?:,\s*)?)+)"
    r"(?:\s+where email_id\s*=\s*'([^']+)')?": _set_times,
    r"delete from pending_acoustic(?:\s+where email_id\s*=\s*'([^']+)')?": _forget_pending,
    _INSERT: _add_pending,
    r"update api_client set enabled\s*=\s*(true|false) where client_id\s*=\s*'([^']+)'": _enable_client,
    r"delete from api_client where client_id\s*=\s*'([^']+)'": _delete_client,
}


def why_not(statement: str) -> str | None:
    """Return why a statement cannot be done, None if it can."""
    return f"no translation of: {statement[:80]}" if _find(statement) is None else None


def makes_pending(statement: str) -> bool:
    """Return whether a statement has contacts delivered, or not delivered."""
    return "pending_acoustic" in statement


def changes_clients(statement: str) -> bool:
    """Return whether a statement is about API clients."""
    return "api_client" in statement


def forgets_all(statement: str) -> bool:
    """Return whether a statement has nobody delivered of those who were to be."""
    return re.fullmatch(r"\s*delete from pending_acoustic\s*;?\s*", statement, re.IGNORECASE) is not None


def seconds(text: str) -> int:
    """Return a time as Stripe has it."""
    return int(datetime.fromisoformat(text).timestamp())


async def run(statement: str, connection: Any, now: datetime) -> None:
    """Do what a statement does.

    Raises:
        LookupError: it has no translation.
    """
    found = _find(statement)
    if found is None:
        raise LookupError(statement)
    match, act = found
    await act(Database(connection, now), match)


def _find(statement: str) -> tuple[Match, Callable[[Database, Match], Awaitable[None]]] | None:
    text = statement.strip().rstrip(";")
    matches = ((re.fullmatch(pattern, text, re.IGNORECASE), act) for pattern, act in _KNOWN.items())
    return next(((match, act) for match, act in matches if match is not None), None)
