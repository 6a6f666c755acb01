"""Child processes that end with their parent: start, watch, stop, pause and kill one."""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mainstem.common.errors import MainstemError

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ServerError(MainstemError):
    """A child process did not do what it was started for; the text is meant for a person."""


@dataclass(frozen=True)
class User:
    """User and group that a child runs as."""

    uid: int
    gid: int


def set_death_signal(number: signal.Signals) -> None:
    """Have the kernel send this signal to the calling process when its parent's thread ends (Linux only)."""
    if _libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def die_with(parent: int, number: signal.Signals) -> None:
    """End when the process `parent` ends, by `number`; end at once if it has ended already."""
    set_death_signal(number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def die_with_parent() -> None:
    """End by SIGTERM when the process that started this one ends, however it does.

    A parent may have ended before this line is reached; one that wants even that to be noticed
    puts its pid into MAINSTEM_PARENT_PID.
    """
    parent = os.environ.pop("MAINSTEM_PARENT_PID", None)
    die_with(int(parent) if parent else os.getppid(), signal.SIGTERM)


def list_children(parent: int) -> list[int]:
    """Return the pids whose parent is `parent`, also those that left its session."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The second field is the command in parentheses, which may hold spaces and parentheses itself.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found.append(int(entry.name))
    return found


class Child:
    """One child process in a session of its own, which writes to a log file.

    Its own session keeps a terminal's Ctrl-C from it: only the launcher hears that, and stops its
    children in their order.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        user: User | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._arguments = [str(argument) for argument in arguments]
        self._environment = environment
        self._death_signal = death_signal
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The process id of the last start.

        Raises:
            ServerError: it was never started.
        """
        return self._started().pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code of the last start, as `subprocess` counts it; None while it runs."""
        return self._started().poll()

    def start(self) -> None:
        """Start it; a child that runs already is left alone.

        Raises:
            ServerError: the program cannot be run.
            RuntimeError: called from another thread than the main one.
        """
        if self.is_running:
            return
        if threading.current_thread() is not threading.main_thread():
            # The death signal fires when the thread that forked ends, not when the process does.
            raise RuntimeError(f"{self.name} has to be started from the main thread")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(_open_private(self.log, os.O_APPEND), "ab") as log:
            self._log_start = log.tell()
            try:
                self._process = self._spawn(log.fileno())
            except OSError as error:
                raise ServerError(f"{self.name} cannot be run: {error}") from error

    def _spawn(self, output: int) -> subprocess.Popen[bytes]:
        user = self._user
        return subprocess.Popen(  # noqa: S603 -- the arguments are a list that we made
            self._arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=self._environment,
            cwd="/" if user else None,  # another user may not be able to enter this folder
            start_new_session=True,
            preexec_fn=_prepare(os.getpid(), self._death_signal),  # noqa: PLW1509 -- one prctl, no lock taken
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
        )

    async def wait(self) -> int:
        """Return the exit code once it has ended."""
        process = self._started()
        if process.poll() is None:
            await _wait_for_end(process.pid)
        return process.wait()

    async def run(self) -> int:
        """Start it, and return its exit code once it has ended; cancelled, it ends too."""
        self.start()
        try:
            return await self.wait()
        finally:
            await self.kill()

    async def stop(self, number: signal.Signals = signal.SIGTERM, *, timeout_seconds: float = 2.0) -> None:
        """Ask it to end, and kill it when it has not done so in time. Safe to repeat."""
        if not self.is_running:
            return
        self.send(number)
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it at once, as a power cut would. Safe to repeat."""
        if self.is_running:
            self.send(signal.SIGKILL)
            await self.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it has ended."""
        self._started().send_signal(number)

    def pause(self) -> None:
        """Stop it where it stands, its connections open, until `resume`."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self.send(signal.SIGCONT)

    def read_log(self) -> str:
        """Return what it wrote since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def read_log_tail(self, lines: int = 15) -> str:
        """Return the last lines that it wrote since its last start."""
        return "\n".join(self.read_log().splitlines()[-lines:])

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerError(f"{self.name} was never started")
        return self._process


def _prepare(parent: int, death_signal: signal.Signals) -> Callable[[], None]:
    """Return what the child does between fork and exec, after its change of user, which would undo it."""

    def prepare() -> None:
        die_with(parent, death_signal)

    return prepare


async def _wait_for_end(pid: int) -> None:
    """Return when the child has ended; it stays a zombie, to be asked for its exit code."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    descriptor = os.pidfd_open(pid)

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, end)
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def write_private(file: Path, text: str) -> None:
    """Write a file that only this user can read, whatever the umask says."""
    with os.fdopen(_open_private(file, os.O_TRUNC), "w") as stream:
        stream.write(text)


def _open_private(file: Path, flag: int) -> int:
    return os.open(file, os.O_WRONLY | os.O_CREAT | flag, 0o600)


async def wait_until(condition: Callable[[], bool], *, timeout_seconds: float) -> bool:
    """Return whether the condition came true in time; it is looked at every five milliseconds."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.005)
    return True
