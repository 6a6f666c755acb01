"""The providers' accounts that ingest knows, and by which mode and epoch their facts become the mirror."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mainstem.common.database import Connection
from mainstem.ingest.settings import DEFAULT_ACCOUNT, Settings

AGREE = """
INSERT INTO inbox.account AS known (provider, account, mode) VALUES ($1, $2, $3)
ON CONFLICT (provider, account) DO UPDATE SET mode = excluded.mode, epoch = known.epoch + 1
WHERE known.mode <> excluded.mode
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
