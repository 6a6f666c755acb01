"""What ingest is told by its environment."""

import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from mainstem.common import owner
from mainstem.common.settings import ServiceSettings, SettingsError, env

DEFAULT_ACCOUNT = "default"
ACCOUNT_KEYS = {"api_key", "webhook_secrets"}
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
        "Further accounts: TOML with `[accounts.<name>]`, `webhook_secrets` and, for fetch mode, `api_key`.",
        default=None,
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
    return problems
