"""Parts of a stack: its options, its stores, its commands and its description."""

import json
import os
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mainstem.sandbox.servers.ports import LOOPBACK, Ports, PortTakenError
from mainstem.sandbox.servers.postgres import DISPOSABLE, Postgres
from mainstem.sandbox.servers.process import Child, ServerError
from mainstem.sandbox.servers.roles import (
    SANDBOX_LOGIN,
    SERVICES,
    ensure_logins,
    ensure_sandbox_login,
    login_of,
)
from mainstem.sandbox.servers.valkey import Valkey
from mainstem.sandbox.stack.folder import (
    AcousticAccess,
    GatewayClient,
    RunFolder,
    Stack,
    StackError,
    StripeAccess,
)
from mainstem.sandbox.stack.keeper import KeptServer
from mainstem.sandbox.stack.programs import (
    POSTGRES_PORT,
    STRIPE_KEY,
    VALKEY_PORT,
    Addresses,
    Program,
    find_live_key,
    real_parts,
    without_ours,
)
from mainstem.sandbox.stripe.wire.versions import TODAY

CLIENT = "demo"
CLIENT_ROLE = "everything"
_REAL_STRIPE = StripeAccess("https://api.stripe.com", api_key="", webhook_secret="", api_version=TODAY)
_STORE_PORTS = {"postgres": POSTGRES_PORT, "valkey": VALKEY_PORT}


@dataclass(frozen=True)
class Options:
    """Options of a stack; by default it is fresh, alone and thrown away."""

    run: Path | None = None
    """The folder whose data goes on; None for a fresh one, removed at the end."""
    stack_file: Path | None = None
    """The path of `stack.json`; None for the run's folder."""
    free_ports: bool = True
    """Any free ports, or the same ones every time."""
    valkey: bool = True
    """Whether a Valkey is started; without it nobody answers at the address that services are given."""
    durable: bool = True
    """Whether Postgres' data has to survive a power cut; otherwise Postgres does not wait for the disk."""
    environment: Mapping[str, str] | None = None
    """An environment whose real stores and keys are used; None for a stack that is all sandbox."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings of every service, beside or in place of the stack's own: an empty `STRIPE_API_KEY`
    makes ingest take payloads for the truth."""


def environments_of(options: Options) -> tuple[dict[str, str], dict[str, str]]:
    """Return what every program inherits, and of that the real stores and keys.

    Raises:
        StackError: a stack that is all sandbox was asked for where a live key is in sight.
    """
    if options.environment is not None:
        return dict(options.environment), real_parts(options.environment)
    if name := find_live_key(os.environ):
        raise StackError(f"{name} holds a live key; a sandbox does not start where one is in sight")
    return without_ours(os.environ), {}


def take_ports(ports: Ports, programs: Sequence[Program], *, are_free: bool) -> dict[str, int]:
    """Return a port for each part, by its name.

    Raises:
        StackError: one of the usual ports is in use.
    """
    wanted = {program.name: program.port for program in programs} | _STORE_PORTS
    taken = {}
    for name, port in wanted.items():
        try:
            taken[name] = ports.take(0 if are_free else port)
        except PortTakenError as error:
            raise StackError(
                f"{error}, which {name} needs; stop who listens there, or choose free ports by --ephemeral"
            ) from error
    return taken


class Script:
    """The script whose commands a stack runs.

    Args:
        words: the program, and arguments before each command's.
        inherited: the environment that every command is given.
        logs: the folder for what commands write.
    """

    def __init__(self, words: Sequence[str | Path], inherited: Mapping[str, str], logs: Path) -> None:
        self._words = words
        self._inherited = inherited
        self._logs = logs

    def child(self, name: str, command: Sequence[str], settings: Mapping[str, str]) -> Child:
        """Return a command as a child that is yet to be started."""
        environment = {**self._inherited, **settings}
        return Child(name, [*self._words, *command], log=self._logs / f"{name}.log", environment=environment)

    async def run(self, name: str, command: Sequence[str], settings: Mapping[str, str]) -> str:
        """Run a command to its end and return what it wrote.

        Raises:
            ServerError: it failed.
        """
        child = self.child(name, command, settings)
        if await child.run() != 0:
            raise ServerError(f"`mainstem {' '.join(command)}` failed:\n{child.read_log_tail()}")
        answer = child.read_log()
        child.log.unlink()  # an answer may hold a secret; only a failure's words are kept
        return answer


class Stores:
    """The stack's Postgres and Valkey, or those that were given from outside."""

    def __init__(
        self, folder: RunFolder, ports: Mapping[str, int], outside: Mapping[str, str], options: Options
    ) -> None:
        self._outside = outside
        self._ports = ports
        self._postgres: Postgres | None = None
        self._valkey: Valkey | None = None
        if "DATABASE_URL" not in outside:
            self._postgres = Postgres(
                folder.path / "postgres",
                port=ports["postgres"],
                settings=None if options.durable else DISPOSABLE,
                log=folder.logs / "postgres.log",
            )
        if "REDIS_URL" not in outside and options.valkey:
            self._valkey = Valkey(
                folder.path / "valkey", port=ports["valkey"], log=folder.logs / "valkey.log"
            )

    @property
    def servers(self) -> dict[str, KeptServer]:
        """Those that are ours to start, by name."""
        servers: dict[str, KeptServer | None] = {"postgres": self._postgres, "valkey": self._valkey}
        return {name: server for name, server in servers.items() if server}

    @property
    def owner_url(self) -> str:
        """The DSN of the database's owner."""
        return self._postgres.url() if self._postgres else self._outside["DATABASE_URL"]

    @property
    def redis_url(self) -> str:
        """The URL of Valkey, whether it runs or not."""
        if "REDIS_URL" in self._outside:
            return self._outside["REDIS_URL"]
        return self._valkey.url if self._valkey else f"redis://{LOOPBACK}:{self._ports['valkey']}/0"

    async def provide_logins(self, passwords: Mapping[str, str]) -> dict[str, str]:
        """Make the logins in our own Postgres, and return the DSN of each service and of `sandbox`.

        A database from outside is used as it was given, and the sandbox, which could empty it, gets none.
        """
        if self._postgres is None:
            return dict.fromkeys(SERVICES, self.owner_url)
        superuser = self._postgres.superuser_url("mainstem")
        await ensure_logins(superuser, {service: passwords[service] for service in SERVICES})
        await ensure_sandbox_login(superuser, passwords["sandbox"])
        logins = {service: login_of(service) for service in SERVICES} | {"sandbox": SANDBOX_LOGIN}
        return {name: _log_in(self.owner_url, login, passwords[name]) for name, login in logins.items()}

    def remove(self) -> None:
        """Delete the data; the servers have to be stopped."""
        if self._postgres:
            self._postgres.remove()


def _log_in(url: str, login: str, password: str) -> str:
    """Return the DSN with another login."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=f"{login}:{password}@{parts.hostname}:{parts.port}").geturl()


async def provide_client(script: Script, database_url: str) -> GatewayClient:
    """Return the development client, which may do anything, with a secret that holds from now on.

    Only hashes of secrets are kept, so a client that is there already gets a new one.
    """
    command = (
        *("gateway", "clients", "add", CLIENT, "--rotate"),
        *("--email", "demo@example.com", "--role", CLIENT_ROLE, "--json"),
    )
    return GatewayClient(
        **_read_credentials(await script.run("clients", command, {"DATABASE_URL": database_url}))
    )


def _read_credentials(answer: str) -> dict[str, str]:
    """Return the credentials out of a command's answer, whose other lines are log events."""
    for line in reversed(answer.splitlines()):
        try:
            found = json.loads(line)
            return {name: found[name] for name in ("client_id", "client_secret")}
        except (ValueError, TypeError, KeyError):
            continue
    raise ServerError("`mainstem gateway clients` answered without credentials")


def describe(
    addresses: Addresses, folder: RunFolder, owner_url: str, client: GatewayClient, outside: Mapping[str, str]
) -> Stack:
    """Return where everything is; a real Stripe's keys are not repeated."""
    secrets = folder.secrets()
    sandbox = addresses.base("sandbox")
    workers = {name: addresses.base(name) for name in addresses.ports if name.endswith("-worker")}
    return Stack(
        **{name: addresses.base(name) for name in ("gateway", "ingest", "sync", "billing")},
        sandbox=sandbox,
        workers={name.removesuffix("-worker"): base for name, base in workers.items()},
        database_url=owner_url,
        database_urls=dict(addresses.database_urls),
        redis_url=addresses.redis_url,
        stripe=_REAL_STRIPE
        if STRIPE_KEY in outside
        else StripeAccess(f"{sandbox}/stripe", secrets.stripe_api_key, secrets.webhook_secret, TODAY),
        acoustic=AcousticAccess(f"{sandbox}/acoustic"),
        clients={CLIENT: client},
        clock_file=str(folder.clock_file),
        logs=str(folder.logs),
        pid=os.getpid(),
    )
