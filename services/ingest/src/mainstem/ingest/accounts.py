"""The providers' accounts that ingest knows, and by which mode and epoch their facts become the mirror."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mainstem.common.database import Connection
from mainstem.common.errors import BadRequestError, NotFoundError
from mainstem.ingest.settings import DEFAULT_ACCOUNT, Settings

AGREE = """
INSERT INTO inbox.account AS known (provider, account, mode) VALUES ($1, $2, $3)
ON CONFLICT (provider, account) DO UPDATE SET mode = excluded.mode, epoch = known.epoch + 1
WHERE known.mode <> excluded.mode
"""
ACCOUNT_ID = re.compile(r"acct_\w{1,250}")
LIST = """
SELECT provider, account, parent, mode, epoch, provider_id, livemode, problem FROM inbox.account
ORDER BY provider, account
"""
ACCEPT = """
UPDATE inbox.account SET problem = NULL, provider_id = coalesce($3, provider_id)
WHERE provider = $1 AND account = $2 RETURNING provider, account, provider_id
"""
EPOCH = "SELECT epoch FROM inbox.account WHERE provider = $1 AND account = $2"


class Mode(StrEnum):
    """Where the truth comes from: asked for at the provider, or taken from what it signed."""

    FETCH = "fetch"
    PAYLOAD = "payload"


@dataclass(frozen=True, slots=True)
class Account:
    """One account at a provider; an API key makes it fetch."""

    name: str
    secrets: tuple[str, ...] = field(repr=False)
    api_key: str | None = field(repr=False)

    @property
    def mode(self) -> Mode:
        """How this account's facts become the mirror."""
        return Mode.PAYLOAD if self.api_key is None else Mode.FETCH


def stripe_accounts(settings: Settings) -> dict[str, Account]:
    """Return every account at Stripe by its name.

    Raises:
        SettingsError: the accounts file will not do.
    """
    key = settings.stripe_api_key.get_secret_value() if settings.stripe_api_key else ""
    accounts = {DEFAULT_ACCOUNT: Account(DEFAULT_ACCOUNT, settings.secrets(), key or None)}
    for name, given in settings.further_accounts().items():
        accounts[name] = Account(name, tuple(given["webhook_secrets"]), given.get("api_key") or None)
    return accounts


async def agree(connection: Connection, provider: str, accounts: Iterable[Account]) -> Mapping[str, int]:
    """Write down each account's mode and return its epoch, by name. Safe to repeat.

    A change of mode raises the epoch once, however many workers start: the row is locked by
    whoever writes first, and the next one finds the mode as it should be.
    """
    epochs = {}
    for account in sorted(accounts, key=lambda one: one.name):
        await connection.execute(AGREE, provider, account.name, str(account.mode))
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
        BadRequestError: the id is none of an account at Stripe.
        NotFoundError: there is no such account.
    """
    if provider_id is not None and not ACCOUNT_ID.fullmatch(provider_id):
        raise BadRequestError("the id of an account begins with `acct_`; Stripe's dashboard shows it")
    row = await connection.fetchrow(ACCEPT, provider, account, provider_id)
    if row is None:
        raise NotFoundError(f"there is no account `{account}`; `accounts list` shows their names")
    return dict(row)
