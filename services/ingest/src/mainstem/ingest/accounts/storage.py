"""Accounts at the providers, as configured and as stored: mode, epoch, id and livemode of each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import structlog

from mainstem.common.database.pool import Connection
from mainstem.common.errors import BadRequestError, NotFoundError
from mainstem.ingest.settings import ACCOUNT_ID, DEFAULT_ACCOUNT, Settings, key_livemode

INTRODUCE = """
INSERT INTO inbox.account AS known (provider, account, mode, provider_id, livemode)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (provider, account) DO UPDATE
SET parent = NULL, provider_id = coalesce(excluded.provider_id, known.provider_id),
  livemode = coalesce(excluded.livemode, known.livemode)
"""
AGREE = """
UPDATE inbox.account SET mode = $3, epoch = epoch + 1 WHERE provider = $1 AND account = $2 AND mode <> $3
"""
# A statement of its own, after the parent's row is locked: it sees each account that was added before.
FOLLOW = """
UPDATE inbox.account SET mode = $3, epoch = epoch + 1 WHERE provider = $1 AND parent = $2 AND mode <> $3
"""
LIST = """
SELECT provider, account, parent, mode, epoch, provider_id, livemode, problem FROM inbox.account
ORDER BY provider, account
"""
ACCEPT = """
UPDATE inbox.account SET problem = NULL, provider_id = CASE WHEN parent IS NULL THEN coalesce($3, provider_id)
  ELSE provider_id END
WHERE provider = $1 AND account = $2 RETURNING provider, account, provider_id
"""
EPOCH = "SELECT epoch FROM inbox.account WHERE provider = $1 AND account = $2"
SIDE = "SELECT livemode FROM inbox.account WHERE provider = $1 AND account = $2"

log = structlog.get_logger()


class Mode(StrEnum):
    """Source of an account's facts: fetched from the provider, or read from its signed payloads."""

    FETCH = "fetch"
    PAYLOAD = "payload"


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """One configured account at a provider; an API key makes it fetch.

    `provider_id` and `livemode` are what the settings say, None where they do not.
    """

    name: str
    secrets: tuple[str, ...] = field(repr=False)
    api_key: str | None = field(repr=False)
    provider_id: str | None = None
    livemode: bool | None = None

    @property
    def mode(self) -> Mode:
        """The source of this account's facts."""
        return Mode.PAYLOAD if self.api_key is None else Mode.FETCH

    @property
    def effective_livemode(self) -> bool | None:
        """The side that the settings give the account: its key's, else its `livemode`, else None."""
        livemode = None if self.api_key is None else key_livemode(self.api_key)
        return self.livemode if livemode is None else livemode


def stripe_accounts(settings: Settings) -> dict[str, ProviderAccount]:
    """Return every account at Stripe by its name.

    Raises:
        SettingsError: the accounts file will not do.
    """
    key = settings.stripe_api_key.get_secret_value() if settings.stripe_api_key else ""
    default = ProviderAccount(
        DEFAULT_ACCOUNT, settings.secrets(), key or None, settings.stripe_account_id, settings.stripe_livemode
    )
    further = (_account(name, given) for name, given in settings.further_accounts().items())
    return {account.name: account for account in (default, *further)}


def _account(name: str, given: Mapping[str, Any]) -> ProviderAccount:
    own_id = name if ACCOUNT_ID.fullmatch(name) else None
    return ProviderAccount(
        name,
        tuple(given["webhook_secrets"]),
        given.get("api_key") or None,
        given.get("provider_id", own_id),
        given.get("livemode"),
    )


async def introduce(connection: Connection, provider: str, accounts: Iterable[ProviderAccount]) -> None:
    """Write down each configured account, its id at the provider and its side. Safe to repeat.

    What the settings say wins over what was learned; what they do not say stays. The mode of a known account
    stays too: a process that only records may not have the account's key.
    """
    for account in sorted(accounts, key=lambda one: one.name):
        before = await connection.fetchval(SIDE, provider, account.name)
        values = (provider, account.name, str(account.mode), account.provider_id, account.effective_livemode)
        await connection.execute(INTRODUCE, *values)
        if None not in (before, account.effective_livemode) and before is not account.effective_livemode:
            log.warning("account.side_changed", account=account.name, livemode=account.effective_livemode)


async def agree(
    connection: Connection, provider: str, accounts: Iterable[ProviderAccount]
) -> Mapping[str, int]:
    """Write down each account and its mode, and return its epoch, by name. Safe to repeat.

    A change of mode raises the epoch once, however many workers start: the first one
    that writes locks the row, and the next one finds the mode as it should be. Connected accounts follow.
    """
    ordered = sorted(accounts, key=lambda one: one.name)
    await introduce(connection, provider, ordered)
    epochs = {}
    for account in ordered:
        for statement in (AGREE, FOLLOW):
            await connection.execute(statement, provider, account.name, str(account.mode))
        epochs[account.name] = await connection.fetchval(EPOCH, provider, account.name)
    return epochs


async def list_accounts(connection: Connection) -> list[dict[str, Any]]:
    """Return every account that was ever worked for, by name."""
    return [dict(row) for row in await connection.fetch(LIST)]


async def accept(
    connection: Connection, provider: str, account: str, provider_id: str | None
) -> dict[str, Any]:
    """Clear an account's problem, and record another id if one is given. Safe to repeat.

    Raises:
        BadRequestError: the id is none of an account at Stripe, or the account is a connected one.
        NotFoundError: there is no such account.
    """
    if provider_id is not None and not ACCOUNT_ID.fullmatch(provider_id):
        raise BadRequestError("the id of an account begins with `acct_`; Stripe's dashboard shows it")
    row = await connection.fetchrow(ACCEPT, provider, account, provider_id)
    if row is None:
        raise NotFoundError(f"there is no account `{account}`; `accounts list` shows their names")
    if provider_id not in {None, row["provider_id"]}:
        raise BadRequestError(f"`{account}` is a connected account, whose id is its name; give no other one")
    return dict(row)
