"""Settings of ingest, from its environment."""

import re
import tomllib
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from mainstem.common import owner
from mainstem.common.settings import ServiceSettings, SettingsError, env

ACCOUNT_ID = re.compile(r"acct_[A-Za-z0-9_]+", re.ASCII)
"""An account's id at Stripe; a connected account has it for a name too."""
LIVEMODES = {"sk_live_": True, "rk_live_": True, "sk_test_": False, "rk_test_": False}
"""Sides by the beginning of a key. Source: https://docs.stripe.com/keys"""
SIDE_NAMES = {True: "live", False: "test"}


def key_livemode(api_key: str) -> bool | None:
    """Return the side that a key opens, None if the key does not show it."""
    return LIVEMODES.get(api_key[:8])


DEFAULT_ACCOUNT = "default"
ACCOUNT_KEYS = {"api_key", "livemode", "provider_id", "webhook_secrets"}
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Settings(ServiceSettings):
    """Ingest's environment."""

    stripe_api_key: SecretStr | None = env(
        "STRIPE_API_KEY",
        "Key of the account `default`: with it objects are fetched, without it payloads are taken.",
        default=None,
    )
    stripe_webhook_secrets: SecretStr = env(
        "STRIPE_WEBHOOK_SECRETS",
        "Signing secrets of the account `default`, comma-separated; each of them is accepted.",
        default=SecretStr(""),
    )
    stripe_accounts_file: Path | None = env(
        "MAINSTEM_STRIPE_ACCOUNTS_FILE",
        "Further accounts: TOML with `[accounts.<name>]`, `webhook_secrets` and, for fetch mode, `api_key`;"
        " optional `provider_id` (`acct_…`) and `livemode` (true or false).",
        default=None,
    )
    stripe_account_id: str | None = env(
        "MAINSTEM_STRIPE_ACCOUNT_ID",
        "Id at Stripe (`acct_…`) of the account `default`: events that name it are its own.",
        default=None,
        pattern=f"^{ACCOUNT_ID.pattern}$",
    )
    stripe_livemode: bool | None = env(
        "MAINSTEM_STRIPE_LIVEMODE",
        "Side of the account `default`, where its key does not show it: `true` for live, `false` for test."
        " Without either, the first signed event decides. Events of the other side become dead letters.",
        default=None,
    )
    connected_owners: bool = env(
        "MAINSTEM_CONNECTED_OWNERS",
        "Whether customers of connected accounts name owners too. A connected merchant can name any owner.",
        default=False,
    )
    stripe_api_base: str = env(
        "MAINSTEM_STRIPE_API_BASE", "Any server that speaks Stripe's API.", default="https://api.stripe.com"
    )
    stripe_concurrency: int = env(
        "MAINSTEM_STRIPE_CONCURRENCY",
        "How many fetches of one account run at once in one worker.",
        default=10,
        ge=1,
        le=100,
    )
    owner_link: str = env(
        "MAINSTEM_OWNER_LINK",
        "Which field of a customer names its owner: `customer.description:fxa_id`,"
        " `customer.metadata.<key>:<kind>` or `customer.email:email`.",
        default=owner.DEFAULT,
        pattern=owner.PATTERN,
    )
    product_rules: Literal["mainstem", "ctms-1.1.0"] = env(
        "MAINSTEM_PRODUCT_RULES",
        "Rule set of a database in which none was ever activated; `mainstem ingest rules activate` switches"
        " it afterwards, and this setting has no effect.",
        default="mainstem",
    )
    failures_to_dead: int = env(
        "MAINSTEM_INGEST_FAILURES_TO_DEAD",
        "How often an event may fail by its own fault before it is laid aside as dead.",
        default=5,
        ge=1,
    )

    def contradictions(self) -> list[str]:
        """Return what cannot be meant together, one sentence each."""
        problems = super().contradictions()
        base = urlsplit(self.stripe_api_base)
        if base.scheme != "https" and base.hostname not in LOOPBACK:
            problems.append("MAINSTEM_STRIPE_API_BASE would carry the API key in clear; use https")
        key = self.stripe_api_key.get_secret_value() if self.stripe_api_key else ""
        if problem := _other_side(key, self.stripe_livemode):
            problems.append(f"STRIPE_API_KEY {problem} MAINSTEM_STRIPE_LIVEMODE; correct one of them")
        return problems

    def secrets(self) -> tuple[str, ...]:
        """Return the signing secrets of the account `default`."""
        return tuple(secret.strip() for secret in _reveal(self.stripe_webhook_secrets) if secret.strip())

    def further_accounts(self) -> dict[str, dict[str, Any]]:
        """Return what the accounts file says, by account.

        Raises:
            SettingsError: it cannot be read, or says something else than it may.
        """
        if self.stripe_accounts_file is None:
            return {}
        try:
            content = tomllib.loads(self.stripe_accounts_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SettingsError([f"MAINSTEM_STRIPE_ACCOUNTS_FILE: {type(error).__name__}"]) from None
        if problems := _problems(content):
            raise SettingsError([f"MAINSTEM_STRIPE_ACCOUNTS_FILE: {problem}" for problem in problems])
        accounts: dict[str, dict[str, Any]] = content.get("accounts", {})
        return accounts


def _reveal(secrets: SecretStr) -> list[str]:
    return secrets.get_secret_value().split(",")


def _problems(content: dict[str, Any]) -> list[str]:
    accounts = content.get("accounts", {})
    if set(content) - {"accounts"} or not isinstance(accounts, dict):
        return ["only tables `[accounts.<name>]` are known"]
    return [problem for name, account in accounts.items() for problem in _account_problems(name, account)]


def _account_problems(name: str, account: Any) -> list[str]:
    if not isinstance(account, dict) or set(account) - ACCOUNT_KEYS:
        return [f"`{name}` may have {' and '.join(sorted(ACCOUNT_KEYS))} only"]
    problems = []
    if name == DEFAULT_ACCOUNT:
        problems.append(f"`{DEFAULT_ACCOUNT}` stands in the environment itself")
    if "\0" in name or "/" in name or not name:
        problems.append("an account's name is part of its endpoint's path")
    secrets = account.get("webhook_secrets")
    if (
        not isinstance(secrets, list)
        or not secrets
        or not all(isinstance(one, str) and one for one in secrets)
    ):
        problems.append(f"`{name}` needs a list of webhook_secrets")
    if not isinstance(account.get("api_key", ""), str):
        problems.append(f"the api_key of `{name}` is no text")
    return problems + _tenant_problems(name, account)


def _tenant_problems(name: str, account: dict[str, Any]) -> list[str]:
    """Return what is wrong with an account's id and side."""
    problems = []
    given = account.get("provider_id")
    if given is not None and not (isinstance(given, str) and ACCOUNT_ID.fullmatch(given)):
        problems.append(f"the provider_id of `{name}` is no account's id: it is not `acct_…`")
    if given is not None and ACCOUNT_ID.fullmatch(name) and given != name:
        problems.append(
            f"`{name}` is an account's id, and its provider_id another one; leave one of them out"
        )
    livemode = account.get("livemode")
    if livemode is not None and not isinstance(livemode, bool):
        problems.append(f"the livemode of `{name}` is neither true nor false")
    elif problem := _other_side(str(account.get("api_key", "")), livemode):
        problems.append(f"the api_key of `{name}` {problem} livemode; correct one of them")
    return problems


def _other_side(api_key: str, livemode: bool | None) -> str | None:
    """Return in which way a key and a configured side contradict each other, None if they do not."""
    of_key = key_livemode(api_key)
    if None in (of_key, livemode) or of_key is livemode:
        return None
    return f"opens the {SIDE_NAMES[of_key is True]} side, unlike its"
