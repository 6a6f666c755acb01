"""Connected accounts: the parent of each, and the mode, epoch and livemode that follow from it."""

from collections.abc import Collection, Mapping
from typing import Any

from mainstem.common.database.pool import Connection

STANDING = """
LEFT JOIN LATERAL (
  SELECT parent, mode, epoch, problem FROM inbox.account
  WHERE provider = $1 AND account = {account} OFFSET 0
) AS known ON true
LEFT JOIN LATERAL (
  SELECT problem FROM inbox.account WHERE provider = $1 AND account = known.parent OFFSET 0
) AS above ON true
"""
"""Joins an account and its parent by their key; `OFFSET 0` keeps the planner from reading all accounts."""
IS_STOPPED = "(known.problem IS NOT NULL OR above.problem IS NOT NULL)"
COLUMNS = "known.parent, known.mode, coalesce(known.epoch, 0) AS epoch"

FIND_LIVEMODES = """
SELECT named.account, coalesce(above.livemode, known.livemode) AS livemode
FROM unnest($2::varchar[]) AS named (account)
CROSS JOIN LATERAL (
  SELECT parent, livemode FROM inbox.account WHERE provider = $1 AND account = named.account OFFSET 0
) AS known
LEFT JOIN LATERAL (
  SELECT livemode FROM inbox.account WHERE provider = $1 AND account = known.parent OFFSET 0
) AS above ON true
"""


def is_served(standing: Mapping[str, Any], account: str, configured: Collection[str], mode: str) -> bool:
    """Return whether a worker with these configured accounts, all of one mode, works on the account.

    A connected account follows its parent. Its own mode is compared too: a worker of the parent's
    former mode leaves the account to the workers of the new one.
    """
    if account in configured:
        return True
    return standing["parent"] in configured and standing["mode"] == mode


async def find_livemodes(
    connection: Connection, provider: str, accounts: Collection[str]
) -> Mapping[str, bool | None]:
    """Return the livemode of each account that is known at all; a connected account has its parent's."""
    rows = await connection.fetch(FIND_LIVEMODES, provider, list(accounts))
    return {row["account"]: row["livemode"] for row in rows}
