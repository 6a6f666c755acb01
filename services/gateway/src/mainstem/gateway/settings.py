"""Settings of the gateway, read from the environment."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator

from mainstem.common import settings
from mainstem.common.settings import ServiceSettings, env

ROUTES_FILE = Path(__file__).with_name("routes.toml")


class StoreSettings(settings.Settings):
    """Settings of the commands for clients and keys: only the database."""

    database_url: SecretStr = env(
        "DATABASE_URL", "Postgres, as `postgresql://login:password@host:port/database`."
    )


class KeySettings(settings.Settings):
    """Settings of the rotation of signing keys."""

    key_ahead_seconds: float = env(
        "MAINSTEM_KEY_AHEAD_SECONDS",
        "How long a new signing key is published before it signs; longer than readers keep the old ones.",
        default=60.0,
        ge=0.0,
    )


class Settings(KeySettings, ServiceSettings):
    """The gateway's environment."""

    # Longer than a route may take unless it says otherwise.
    stop_seconds: int = env(
        "MAINSTEM_STOP_SECONDS",
        "How long requests that are under way may take once nobody is let in; then they are cut off.",
        default=20,
        ge=1,
    )
    upstream_ingest: str | None = env("MAINSTEM_UPSTREAM_INGEST", "Base URL of ingest.", default=None)
    upstream_sync: str | None = env("MAINSTEM_UPSTREAM_SYNC", "Base URL of sync.", default=None)
    upstream_billing: str | None = env("MAINSTEM_UPSTREAM_BILLING", "Base URL of billing.", default=None)
    circuit_seconds: float = env(
        "MAINSTEM_CIRCUIT_SECONDS",
        "How long an upstream that keeps giving no answer is left alone before it is tried again.",
        default=10.0,
        gt=0.0,
    )
    routes_file: Path = env("MAINSTEM_ROUTES_FILE", "What goes where, as TOML.", default=ROUTES_FILE)

    @field_validator("upstream_ingest", "upstream_sync", "upstream_billing")
    @classmethod
    def _is_base_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be a base URL, as in `http://sync:8000`")
        if parts.path.strip("/"):
            raise ValueError("must have no path: paths are forwarded as they came")
        return value.rstrip("/")

    @property
    def upstreams(self) -> Mapping[str, str | None]:
        """The services that a route may lead to, by name, with their base URLs."""
        return {"ingest": self.upstream_ingest, "sync": self.upstream_sync, "billing": self.upstream_billing}
