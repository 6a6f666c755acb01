"""A Postgres of our own: made, started, stopped, restarted and crashed as a child process."""

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from mainstem.common.database.pool import DATABASE_ERRORS
from mainstem.sandbox.servers.binaries import (
    SHARED,
    find_postgres,
    postgres_version,
    require_own,
    unprivileged_user,
)
from mainstem.sandbox.servers.ports import LOOPBACK
from mainstem.sandbox.servers.process import (
    Child,
    ServerError,
    User,
    list_children,
    wait_until,
    write_private,
)
from mainstem.sandbox.servers.roles import ensure_owner

SUPERUSER = "postgres"
OWNER = "mainstem"
"""The role that owns the database `mainstem`; it may make roles and databases, but is no superuser."""
DISPOSABLE = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
"""Settings of a test's server: its data need not survive a power cut."""

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    # A socket's path of more than 107 bytes is fatal, and TCP on loopback is no slower.
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_STILL_SHARED = "pre-existing shared memory block"
_READY_LINE = 7


class Postgres:
    """One Postgres, reached by TCP on loopback with passwords only.

    As root it runs as `nobody`, with its data in `folder` if `nobody` can get there, else in a
    folder of root's in the machine's place for lasting temporary files, found again by the path.
    """

    def __init__(
        self, folder: Path, *, port: int, settings: Mapping[str, str] | None = None, log: Path | None = None
    ) -> None:
        self.port = port
        self._folder = folder.resolve()
        self._user = unprivileged_user()
        self._home = _choose_home(self._folder, self._user)
        self._settings = {**_SETTINGS, **(settings or {}), "port": str(port)}
        self._log = log or self._folder / "postgres.log"
        self._passwords: dict[str, str] = {}
        self._child: Child | None = None

    @property
    def child(self) -> Child:
        """The postmaster.

        Raises:
            ServerError: it was never started.
        """
        if self._child is None:
            raise ServerError("postgres was never started")
        return self._child

    @property
    def data(self) -> Path:
        """The data folder."""
        return self._home / "data"

    def url(self, database: str = OWNER) -> str:
        """Return the DSN of the owner."""
        return self._url(OWNER, database)

    def superuser_url(self, database: str = SUPERUSER) -> str:
        """Return the DSN of the superuser."""
        return self._url(SUPERUSER, database)

    async def start(self, *, timeout_seconds: float = 20.0) -> None:
        """Make the data folder if there is none, start, and return once it answers. Safe to repeat.

        Raises:
            ServerError: it cannot start; the text holds its own words.
        """
        programs = find_postgres(self._user)
        _make_folder(self._folder, None if self._is_elsewhere else self._user)
        await self._provide_data(programs)
        if self._child is None:
            self._child = Child(
                "postgres",
                [programs / "postgres", "-D", self.data, *self._options()],
                log=self._log,
                environment={"PATH": os.defpath, "LC_ALL": "C"},
                death_signal=signal.SIGINT,
                user=self._user,
            )
        await self._start_and_wait(self._child, time.monotonic() + timeout_seconds)
        try:
            await ensure_owner(self.superuser_url(), OWNER, self._passwords[OWNER])
        except DATABASE_ERRORS as error:
            # It can be ended again as soon as it is ready.
            raise ServerError(f"postgres started, but does not answer: {type(error).__name__}") from error

    def attach(self) -> None:
        """Take the passwords of a server that another process started on this folder and port."""
        self._passwords = json.loads((self._folder / "passwords.json").read_text())

    async def stop(self, *, timeout_seconds: float = 2.0) -> None:
        """Stop fast: open transactions are rolled back. Safe to repeat."""
        if self._child and self._child.is_running:
            children = list_children(self._child.pid)
            await self._child.stop(signal.SIGINT, timeout_seconds=timeout_seconds)
            _kill_all(children if self._child.exit_code == -signal.SIGKILL else [])

    async def restart(self) -> None:
        """Stop fast and start again."""
        await self.stop()
        await self.start()

    async def crash(self) -> None:
        """End the postmaster and every backend at once, as a power cut would. Safe to repeat."""
        child = self._child
        if child is None or not child.is_running:
            return
        # Stopped first, so that it makes no new backend while we look for those there are.
        child.pause()
        children = list_children(child.pid)
        await child.kill()
        _kill_all(children)

    def remove(self) -> None:
        """Delete the data; it has to be stopped."""
        shutil.rmtree(self._home, ignore_errors=True)
        if self._is_elsewhere:
            with contextlib.suppress(FileNotFoundError):
                self._home.parent.rmdir()

    @property
    def _is_elsewhere(self) -> bool:
        """Whether the data stands outside of the folder, where it can be reached."""
        return self._home != self._folder

    def _url(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{self._passwords[role]}@{LOOPBACK}:{self.port}/{database}"

    def _options(self) -> list[str]:
        return [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]

    async def _start_and_wait(self, child: Child, deadline: float) -> None:
        """Start until it is ready; a backend of a crashed predecessor that still computes is waited for."""
        while True:
            child.start()
            await wait_until(
                lambda: not child.is_running or self._is_ready(child),
                timeout_seconds=deadline - time.monotonic(),
            )
            if child.is_running and self._is_ready(child):
                return
            if child.is_running:
                await self.crash()
                raise ServerError(f"postgres was not ready in time:\n{child.read_log_tail()}")
            log = child.read_log()
            if _STILL_SHARED not in log or time.monotonic() > deadline:
                raise ServerError(f"postgres did not start:\n{_explain(log)}")
            await asyncio.sleep(0.1)

    def _is_ready(self, child: Child) -> bool:
        """Whether the postmaster's own file says so; a predecessor's file names another pid."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return (
            len(lines) > _READY_LINE and lines[0] == str(child.pid) and lines[_READY_LINE].strip() == "ready"
        )

    async def _provide_data(self, programs: Path) -> None:
        """Read the passwords of the data folder, or make both."""
        passwords = self._folder / "passwords.json"
        if self._is_elsewhere and self._home.parent.exists():
            require_own(self._home.parent)
            if not passwords.exists():
                # The run folder that this data belonged to is gone: so is what it held.
                shutil.rmtree(self._home, ignore_errors=True)
        if not self.data.exists():
            await self._make_data(programs, passwords)
        _require_version(self.data)
        if not passwords.exists():
            raise ServerError(f"the passwords of {self.data} are lost; remove {self._folder} to begin afresh")
        self._passwords = json.loads(passwords.read_text())

    async def _make_data(self, programs: Path, passwords: Path) -> None:
        """Run initdb beside the final place, so that an interrupted one leaves no half-made data folder."""
        _make_folder(self._home, self._user)
        if self._is_elsewhere:
            require_own(self._home.parent)
        chosen = {role: secrets.token_urlsafe(18) for role in (SUPERUSER, OWNER)}
        draft = self._home / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        password_file = self._home / "password.new"
        write_private(password_file, chosen[SUPERUSER])
        if self._user:
            for path in (draft, password_file):
                os.chown(path, self._user.uid, self._user.gid)
        try:
            await self._run_initdb(programs, draft, password_file)
        finally:
            password_file.unlink()
        write_private(passwords, json.dumps(chosen))
        draft.rename(self.data)

    async def _run_initdb(self, programs: Path, data: Path, password_file: Path) -> None:
        """Make a database cluster that takes nothing from this machine's locale settings."""
        initdb = Child(
            "initdb",
            [
                programs / "initdb",
                f"--pgdata={data}",
                f"--pwfile={password_file}",
                f"--username={SUPERUSER}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-sync",
                "--no-instructions",
            ],
            log=self._log,
            environment={"PATH": os.defpath, "LC_ALL": "C"},
            user=self._user,
        )
        if await initdb.run() != 0:
            raise ServerError(f"initdb failed:\n{initdb.read_log_tail()}")


def _choose_home(folder: Path, user: User | None) -> Path:
    """Return where the data stands: the folder itself, or a place of root's that `user` can reach."""
    # A new folder below is given the right mode when it is made; those above stay as they are.
    existing = [path for path in (folder, *folder.parents) if path.exists()]
    if user is None or all(path.stat().st_mode & stat.S_IXOTH for path in existing):
        return folder
    key = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return SHARED / f"mainstem-{key}" / "pg"


def _make_folder(path: Path, user: User | None) -> None:
    """Make a folder and those above it that are missing; `user` may enter them, but not list them."""
    mode = 0o700 if user is None else 0o711
    for folder in reversed([path, *path.parents]):
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            folder.chmod(mode)  # mkdir's own mode is cut by the umask


def _require_version(data: Path) -> None:
    made_by = (data / "PG_VERSION").read_text().strip()
    ours = postgres_version().partition(".")[0]
    if made_by != ours:
        raise ServerError(
            f"the data in {data} was written by Postgres {made_by}, and this is Postgres {ours}, which cannot"
            f" read it; remove the folder to begin afresh, or use --ephemeral"
        )


def _explain(log: str) -> str:
    """Return the lines that say why it did not start, or the whole log where none does."""
    lines = [line for line in log.splitlines() if "FATAL:" in line or "HINT:" in line]
    return "\n".join(lines) or log


def _kill_all(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
