"""Run folder of a stack: its lock, its secrets, and `stack.json` with every address and credential."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from mainstem.sandbox.servers.process import ServerError, write_private
from mainstem.sandbox.servers.roles import SERVICES

DEFAULT_RUN = Path(".run")
GRACE_SECONDS = 60.0
"""Age from which a later launcher takes a fresh folder for abandoned."""
_FRESH = "mainstem-"


class StackError(ServerError):
    """A stack cannot be started as asked; the text is meant for a person."""


@dataclass(frozen=True)
class StripeAccess:
    """The base URL of the sandbox's Stripe, and the keys of its account."""

    api_base: str
    api_key: str
    webhook_secret: str
    api_version: str


@dataclass(frozen=True)
class AcousticAccess:
    """The base URL of the sandbox's Acoustic."""

    api_base: str


@dataclass(frozen=True)
class GatewayClient:
    """A client of the gateway, its secret in clear."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Stack:
    """Addresses of a running stack's parts, as in `stack.json`: base URLs, DSNs, credentials."""

    gateway: str
    ingest: str
    sync: str
    billing: str
    sandbox: str
    workers: dict[str, str]
    """The base URL of each worker's health endpoints, by service."""
    database_url: str = field(repr=False)
    """The owner's DSN."""
    database_urls: dict[str, str] = field(repr=False)
    """The DSN of each service, by service."""
    redis_url: str = field(repr=False)
    """With `--no-valkey` an address where nobody answers."""
    stripe: StripeAccess = field(repr=False)
    acoustic: AcousticAccess
    clients: dict[str, GatewayClient]
    clock_file: str
    logs: str
    pid: int
    """The launcher's process; once it is gone, this file describes nothing that runs."""

    def to_json(self) -> str:
        """Return the content of `stack.json`."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the content of `stack.json`."""
        fields = json.loads(text)
        fields["stripe"] = StripeAccess(**fields["stripe"])
        fields["acoustic"] = AcousticAccess(**fields["acoustic"])
        fields["clients"] = {name: GatewayClient(**client) for name, client in fields["clients"].items()}
        return cls(**fields)


@dataclass(frozen=True)
class Secrets:
    """Secrets of this run's parts, chosen once a folder."""

    logins: dict[str, str]
    """Passwords in Postgres: of each service by its name, of the sandbox by `sandbox`."""
    stripe_api_key: str
    webhook_secret: str
    acoustic_client_id: str
    acoustic_client_secret: str
    acoustic_refresh_token: str

    @classmethod
    def choose(cls) -> Self:
        """Choose all of them at random."""
        return cls(
            logins={name: secrets.token_urlsafe(18) for name in (*SERVICES, "sandbox")},
            stripe_api_key=f"sk_test_{secrets.token_hex(24)}",
            webhook_secret=f"whsec_{secrets.token_hex(24)}",
            acoustic_client_id=secrets.token_hex(8),
            acoustic_client_secret=secrets.token_urlsafe(18),
            acoustic_refresh_token=secrets.token_urlsafe(18),
        )


class RunFolder:
    """The folder of one run: data, clock, logs, secrets; one launcher at a time holds it.

    Args:
        path: the folder, made where there is none; None for a fresh one that `close` removes.
        stack_file: where `stack.json` is written, unless another stack that runs is described there; None
            for the folder itself.
    """

    def __init__(self, path: Path | None, *, stack_file: Path | None = None) -> None:
        self._is_temporary = path is None
        fresh = Path(tempfile.gettempdir(), f"{_FRESH}{secrets.token_hex(6)}")
        self.path = (path or fresh).absolute()
        self.stack_file = (stack_file or self.path / "stack.json").absolute()
        self.logs = self.path / "logs"
        self.clock_file = self.path / "clock"
        self._secrets_file = self.path / "secrets.json"
        self._lock: int | None = None

    def open(self) -> None:
        """Make the folder, take it for this process, and drop what the last run left to read.

        Raises:
            StackError: another launcher runs in it.
        """
        if self._is_temporary:
            _remove_abandoned(self.path.parent)
        _make_folder(self.path)
        self._lock = _take_lock(self.path / "lock")
        if self._lock is None:
            raise StackError(
                f"a stack runs in {self.path} already; stop it, or start another one with --ephemeral"
            )
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir()

    def close(self) -> None:
        """Give the folder back, and remove it if it was a fresh one. Safe to repeat."""
        if self._lock is None:
            return
        if self._described_pid() == os.getpid():
            self.stack_file.unlink()
        if self._is_temporary:
            shutil.rmtree(self.path)
        os.close(self._lock)
        self._lock = None

    def secrets(self) -> Secrets:
        """Return the folder's secrets, chosen at its first run."""
        if not self._secrets_file.exists():
            write_private(self._secrets_file, json.dumps(asdict(Secrets.choose())))
        return Secrets(**json.loads(self._secrets_file.read_text()))

    def write_stack(self, stack: Stack) -> None:
        """Put `stack.json` in place at once, readable for this user alone.

        Where it describes another stack that runs, this one is described in its own folder instead.
        """
        if _is_another(self._described_pid()):
            self.stack_file = self.path / "stack.json"
        _make_folder(self.stack_file.parent)
        draft = self.stack_file.with_name(f"{self.stack_file.name}.{os.getpid()}")
        write_private(draft, stack.to_json())
        draft.rename(self.stack_file)

    def _described_pid(self) -> int | None:
        """Return the launcher of the stack that the file describes; None if it describes none."""
        try:
            return Stack.from_json(self.stack_file.read_text()).pid
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None


def _is_another(pid: int | None) -> bool:
    """Return whether a process runs that is not this one."""
    if pid is None or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _take_lock(file: Path) -> int | None:
    """Return a descriptor that holds the file's lock until it is closed; None if another process does."""
    lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _remove_abandoned(parent: Path) -> None:
    """Remove fresh folders whose launcher was killed before it could; those of the last minute are left."""
    for folder in parent.glob(_FRESH + "?" * 12):
        with contextlib.suppress(OSError):
            found = (folder / "lock").lstat()
            is_ours = folder.lstat().st_uid == os.geteuid() == found.st_uid
            if not is_ours or time.time() - found.st_mtime < GRACE_SECONDS:
                continue
            lock = _take_lock(folder / "lock")
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _make_folder(path: Path) -> None:
    """Make a folder that others may enter, if we are root, but never list; an existing one stays as it is.

    As root Postgres runs as another user, and its data stands in here.
    """
    if not path.exists():
        path.mkdir(parents=True)
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)
