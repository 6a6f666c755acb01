"""A Valkey of our own: started, stopped, restarted and crashed as a child process."""

import asyncio
import os
import secrets
import signal
import time
from pathlib import Path

from mainstem.sandbox.servers.binaries import find_valkey
from mainstem.sandbox.servers.ports import LOOPBACK
from mainstem.sandbox.servers.process import Child, ServerError, write_private


class Valkey:
    """One Valkey, reached by TCP on loopback with a password, whose keys survive its end."""

    def __init__(self, folder: Path, *, port: int, log: Path | None = None) -> None:
        self.port = port
        self._folder = folder.resolve()
        self._password = ""
        self.child = Child(
            "valkey",
            [find_valkey(), self._folder / "valkey.conf"],
            log=log or self._folder / "valkey.log",
            environment={"PATH": os.defpath},
            death_signal=signal.SIGTERM,
        )

    @property
    def url(self) -> str:
        """The address with its password."""
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"

    async def start(self, *, timeout_seconds: float = 10.0) -> None:
        """Start it and return once it has loaded its keys and answers. Safe to repeat.

        Raises:
            ServerError: it cannot start; the text holds its own words.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._password = self._provide_password()
        self._write_configuration()
        self.child.start()
        deadline = time.monotonic() + timeout_seconds
        while not await self._answers():
            if not self.child.is_running:
                raise ServerError(f"valkey did not start:\n{self.child.read_log_tail()}")
            if time.monotonic() > deadline:
                await self.child.kill()
                raise ServerError(f"valkey was not ready in time:\n{self.child.read_log_tail()}")
            await asyncio.sleep(0.01)

    async def stop(self, *, timeout_seconds: float = 2.0) -> None:
        """Stop it, its keys on disk. Safe to repeat."""
        await self.child.stop(signal.SIGTERM, timeout_seconds=timeout_seconds)

    async def restart(self) -> None:
        """Stop it and start it again."""
        await self.stop()
        await self.start()

    async def crash(self) -> None:
        """End it at once."""
        await self.child.kill()

    def _provide_password(self) -> str:
        """Return the folder's password, chosen at its first start."""
        file = self._folder / "password"
        if not file.exists():
            write_private(file, secrets.token_urlsafe(18))
        return file.read_text()

    def _write_configuration(self) -> None:
        """Write the settings to a file, since a command line with a password can be read by every user."""
        settings = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "dir": _quote(str(self._folder)),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "requirepass": self._password,
        }
        lines = "".join(f"{name} {value}\n" for name, value in settings.items())
        write_private(self._folder / "valkey.conf", lines)

    async def _answers(self) -> bool:
        """Whether it takes the password and is done loading."""
        try:
            async with asyncio.timeout(1):
                return b"+PONG" in await self._ping()
        except OSError:  # TimeoutError is one
            return False

    async def _ping(self) -> bytes:
        """Return all that it says to a PING."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        try:
            writer.write(f"AUTH {self._password}\r\nPING\r\nQUIT\r\n".encode())
            return await reader.read()
        finally:
            writer.close()


def _quote(text: str) -> str:
    """Return the text as one argument of Valkey's configuration, whatever characters it holds."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
