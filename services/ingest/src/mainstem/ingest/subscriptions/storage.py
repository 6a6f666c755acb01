"""Active rule set in the database: the newest row of `subscription.rule_activation`, which has its data.

Workers derive by the data of that row and never by their own built-in set of the same name, so that the old
and the new pods of a rolling deploy agree.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
import structlog

from mainstem.common.database.locks import share_rules, take_rules
from mainstem.common.database.pool import Connection
from mainstem.common.errors import ConflictError, MainstemError
from mainstem.ingest.subscriptions.language import RuleSet, decode, encode

NEWEST = """
SELECT id, name, digest, rules::text, activated_at, completed_at
FROM subscription.rule_activation ORDER BY id DESC LIMIT 1
"""
DIGEST = "SELECT digest FROM subscription.rule_activation WHERE name = $1 ORDER BY id LIMIT 1"
INSERT = """
INSERT INTO subscription.rule_activation (name, digest, rules, activated_at) VALUES ($1, $2, $3, $4)
"""

log = structlog.get_logger()


class RulesUnusableError(MainstemError):
    """No rule set is active, or this release does not understand the active one: nothing is derived."""


@dataclass(frozen=True, slots=True)
class Activation:
    """Row of the history: `name` and `digest` of the set, and when its walk was completed, None if not."""

    id: int
    name: str
    digest: str
    rules: str
    activated_at: datetime
    completed_at: datetime | None


async def find_active(connection: Connection) -> Activation | None:
    """Return the newest activation, None if no set was ever activated."""
    row = await connection.fetchrow(NEWEST)
    return None if row is None else Activation(**dict(row))


async def read_active(connection: Connection) -> RuleSet:
    """Return the active set, which no one switches before the transaction ends.

    Must be the first lock of a transaction: a switch waits for those who hold it, and others wait for the
    switch.

    Raises:
        RulesUnusableError: there is none, or its data cannot be understood here.
    """
    await share_rules(connection)
    return understand(await find_active(connection))


def understand(active: Activation | None) -> RuleSet:
    """Return the set of an activation.

    Raises:
        RulesUnusableError: there is none, or its data cannot be understood here.
    """
    if active is None:
        raise RulesUnusableError("no rule set is active; start an ingest worker or run `rules activate`")
    rules = _decode(active.name, active.digest, active.rules)
    if rules is None:
        log.error("rules.refused", rules=active.name, digest=active.digest)
        raise RulesUnusableError(
            f"this release does not understand the active rule set {active.name} ({active.digest[:12]});"
            " run the release that activated it, or activate another set"
        )
    return rules


@lru_cache(maxsize=4)
def _decode(name: str, digest: str, text: str) -> RuleSet | None:
    """Return the set of a row, None if it is not understood; once for all commits by it."""
    try:
        rules = decode(text)
    except msgspec.DecodeError:
        return None
    return rules if (rules.name, rules.digest) == (name, digest) else None


async def initialise(connection: Connection, rules: RuleSet, now: datetime) -> Activation:
    """Activate a set if none ever was; return the active one. Safe to repeat, and at once."""
    active = await find_active(connection)
    if active is None:
        await take_rules(connection)
        active = await find_active(connection)
    return active or await _insert(connection, rules, now)


async def activate(connection: Connection, rules: RuleSet, now: datetime) -> Activation:
    """Make a set the active one and return its activation. Safe to repeat: the active set stays.

    No transaction that derives by the former set is under way when this one commits.

    Raises:
        ConflictError: the name stands for other data in this database.
    """
    await take_rules(connection)
    active = await find_active(connection)
    if active is not None and active.digest == rules.digest:
        return active
    await check_name(connection, rules)
    return await _insert(connection, rules, now)


async def check_name(connection: Connection, rules: RuleSet) -> None:
    """Return if the set's name stands for this data, or is new here.

    Raises:
        ConflictError: the name stands for other data in this database.
    """
    digest: str | None = await connection.fetchval(DIGEST, rules.name)
    if digest not in {None, rules.digest}:
        raise ConflictError(
            f"the rule set {rules.name} was activated here with the digest {str(digest)[:12]}, this release"
            f" has {rules.digest[:12]}; give changed rules a new name"
        )


async def _insert(connection: Connection, rules: RuleSet, now: datetime) -> Activation:
    await connection.execute(INSERT, rules.name, rules.digest, encode(rules), now)
    row: Any = await connection.fetchrow(NEWEST)
    return Activation(**dict(row))
