"""The programs of a stack as data: what is started, on which port, and with which environment."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mainstem.sandbox.servers.ports import LOOPBACK
from mainstem.sandbox.stack.folder import Secrets

Stage = Literal["world", "service"]


@dataclass(frozen=True)
class Program:
    """One `mainstem` command that a stack keeps running."""

    name: str
    command: tuple[str, ...]
    """The arguments after `mainstem`."""
    port: int
    """The port it listens on, unless free ports are requested."""
    service: str
    """The service whose login and settings it has; `sandbox` for the world."""
    stage: Stage = "service"


WORLD = Program("sandbox", ("sandbox", "world"), 8010, "sandbox", "world")
PROGRAMS = (
    WORLD,
    Program("gateway", ("gateway", "serve"), 8000, "gateway"),
    Program("ingest", ("ingest", "serve"), 8001, "ingest"),
    Program("sync", ("sync", "serve"), 8002, "sync"),
    Program("billing", ("billing", "serve"), 8003, "billing"),
    Program("ingest-worker", ("ingest", "work"), 8021, "ingest"),
    Program("sync-worker", ("sync", "work"), 8022, "sync"),
    Program("billing-worker", ("billing", "work"), 8023, "billing"),
)
POSTGRES_PORT = 54329
VALKEY_PORT = 63790

DEMO_PRICE = "demo-plus"
"""The lookup key of what the sandbox's billing sells, once somebody made a price with it."""

STRIPE_KEY = "STRIPE_API_KEY"
ACOUSTIC_KEY = "CTMS_ACOUSTIC_CLIENT_ID"
_OURS = ("MAINSTEM_", "CTMS_", "STRIPE_")
_STORES = ("DATABASE_URL", "REDIS_URL")
_LIVE_KEYS = ("sk_live_", "rk_live_")


@dataclass(frozen=True)
class Addresses:
    """Addresses of a stack's parts."""

    ports: Mapping[str, int]
    """By the name of the program."""
    database_urls: Mapping[str, str]
    """By service, and `sandbox`."""
    redis_url: str
    clock_file: Path
    folder: Path
    """The folder in which the world keeps its data."""

    def base(self, name: str) -> str:
        """Return the base URL of a program."""
        return f"http://{LOOPBACK}:{self.ports[name]}"


def mainstem_script() -> Path:
    """Return the script `mainstem` of the environment that this process runs in."""
    return Path(sys.executable).with_name("mainstem")


def find_live_key(environment: Mapping[str, str]) -> str | None:
    """Return the name of a variable that holds a live key of Stripe, or None."""
    return next(
        (name for name, value in sorted(environment.items()) if any(key in value for key in _LIVE_KEYS)), None
    )


def real_parts(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the real stores and keys that an environment names."""
    names = (*_STORES, STRIPE_KEY, ACOUSTIC_KEY)
    return {name: environment[name] for name in names if environment.get(name)}


def without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without anything that could lead a service out of the sandbox."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(_OURS) and name not in _STORES
    }


def environment_of(
    program: Program, addresses: Addresses, secrets: Secrets, outside: Mapping[str, str]
) -> dict[str, str]:
    """Return what a program is told, besides what it inherits.

    Args:
        program: who is told.
        addresses: where the stack's parts are.
        secrets: the sandbox's keys.
        outside: real keys and stores, which are used instead of the sandbox's.
    """
    settings = _own_address(program, addresses) | _providers(addresses, secrets, outside)
    if program.stage == "world":
        return settings | _world(addresses, secrets)
    return settings | _neighbours(program, addresses)


def _own_address(program: Program, addresses: Addresses) -> dict[str, str]:
    return {
        "MAINSTEM_HOST": LOOPBACK,
        "MAINSTEM_PORT": str(addresses.ports[program.name]),
        "HOSTNAME": program.name,
        "OTEL_TRACES_SAMPLER_ARG": "1.0",
        "PYTHONUNBUFFERED": "1",
    }


def _neighbours(program: Program, addresses: Addresses) -> dict[str, str]:
    return {
        "DATABASE_URL": addresses.database_urls[program.service],
        "REDIS_URL": addresses.redis_url,
        "MAINSTEM_IDENTITY_JWKS_URL": f"{addresses.base('gateway')}/.well-known/jwks.json",
        "MAINSTEM_UPSTREAM_INGEST": addresses.base("ingest"),
        "MAINSTEM_UPSTREAM_SYNC": addresses.base("sync"),
        "MAINSTEM_UPSTREAM_BILLING": addresses.base("billing"),
        "MAINSTEM_PUBLIC_URL": addresses.base("gateway"),
    }


def _providers(addresses: Addresses, secrets: Secrets, outside: Mapping[str, str]) -> dict[str, str]:
    """Return keys and addresses of the outside world: the sandbox's, unless real ones were given."""
    settings = {} if STRIPE_KEY in outside else _stripe(addresses, secrets)
    settings |= {} if ACOUSTIC_KEY in outside else _acoustic(addresses, secrets)
    if is_offline(outside):
        # Nobody real is told of a time that is not theirs.
        settings |= {
            "MAINSTEM_PROFILE": "sandbox",
            "MAINSTEM_CLOCK_FILE": str(addresses.clock_file),
            "MAINSTEM_DELIVERY_PAUSE_FILE": str(addresses.clock_file.with_name("pause")),
        }
    return settings


def is_offline(outside: Mapping[str, str]) -> bool:
    """Whether every provider and platform is the sandbox's."""
    return STRIPE_KEY not in outside and ACOUSTIC_KEY not in outside


def _stripe(addresses: Addresses, secrets: Secrets) -> dict[str, str]:
    return {
        "STRIPE_API_KEY": secrets.stripe_api_key,
        "STRIPE_WEBHOOK_SECRETS": secrets.webhook_secret,
        "MAINSTEM_STRIPE_API_BASE": f"{addresses.base('sandbox')}/stripe",
        "STRIPE_PRICE_ID": DEMO_PRICE,
    }


def _acoustic(addresses: Addresses, secrets: Secrets) -> dict[str, str]:
    return {
        "MAINSTEM_ACOUSTIC_API_BASE": f"{addresses.base('sandbox')}/acoustic",
        "CTMS_ACOUSTIC_CLIENT_ID": secrets.acoustic_client_id,
        "CTMS_ACOUSTIC_CLIENT_SECRET": secrets.acoustic_client_secret,
        "CTMS_ACOUSTIC_REFRESH_TOKEN": secrets.acoustic_refresh_token,
        "CTMS_ACOUSTIC_MAIN_TABLE_ID": "1001",
        "CTMS_ACOUSTIC_NEWSLETTER_TABLE_ID": "1002",
        "CTMS_ACOUSTIC_PRODUCT_SUBSCRIPTIONS_ID": "1003",
        "CTMS_ACOUSTIC_SYNC_FEATURE_FLAG": "1",
        "CTMS_ACOUSTIC_INTEGRATION_FEATURE_FLAG": "1",
    }


def _world(addresses: Addresses, secrets: Secrets) -> dict[str, str]:
    settings = {
        "MAINSTEM_CLOCK_FILE": str(addresses.clock_file),
        "MAINSTEM_SANDBOX_WEBHOOK_URL": f"{addresses.base('ingest')}/webhooks/stripe",
        "MAINSTEM_SANDBOX_WEBHOOK_SECRET": secrets.webhook_secret,
        "MAINSTEM_SANDBOX_FOLDER": str(addresses.folder),
    }
    if "sandbox" in addresses.database_urls:
        settings["MAINSTEM_SANDBOX_DATABASE_URL"] = addresses.database_urls["sandbox"]
    return settings
