"""`mainstem sandbox up`: a stack in a terminal, from the first line to Ctrl-C."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from mainstem.sandbox.stack.assembly import Options
from mainstem.sandbox.stack.folder import DEFAULT_RUN, Stack
from mainstem.sandbox.stack.launcher import Launcher


async def keep_up(*, ephemeral: bool, valkey: bool, run: Path | None) -> None:
    """Start a stack as asked, say where it is, and keep it until a signal ends it.

    Raises:
        ServerError: it cannot be started.
    """
    folder = run or DEFAULT_RUN
    options = Options(
        run=None if ephemeral else folder,
        stack_file=folder / "stack.json",
        free_ports=ephemeral,
        valkey=valkey,
        environment=os.environ,
    )
    console = Console(stderr=True, highlight=False)
    with cancel_on_signal(), contextlib.suppress(asyncio.CancelledError):
        progress = Progress(console)
        launcher = Launcher(options, report=progress)
        async with launcher as stack:
            _introduce(console, stack, launcher.stack_file, progress.seconds)
            await asyncio.Event().wait()


@contextlib.contextmanager
def cancel_on_signal() -> Iterator[None]:
    """Cancel the current task at the first Ctrl-C, SIGTERM or SIGHUP; further ones do not hurry its end."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    heard: set[int] = set()

    def hear(number: int) -> None:
        if task and not heard:
            task.cancel()
        heard.add(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, hear, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


class Progress:
    """Shows each part of a stack as it becomes ready; called by the launcher."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._started: dict[str, float] = {}
        self._waiting = console.status("")

    @property
    def seconds(self) -> float:
        """The time since the beginning."""
        return time.monotonic() - self._began

    def __call__(self, name: str, state: str) -> None:
        """Take note of what has become of a part."""
        if state == "starting":
            self._started[name] = time.monotonic()
        self._show(name, state)
        self._await()

    def _show(self, name: str, state: str) -> None:
        if state == "starting":
            return
        if state == "ready" and name in self._started:
            took = time.monotonic() - self._started.pop(name)
            self._console.print(f"  [green]✓[/] {name:<15}[dim]{took:5.1f} s[/]")
        else:
            self._started.pop(name, None)
            self._console.print(f"  [yellow]·[/] {name}: {escape(state)}")

    def _await(self) -> None:
        """Name those that are being waited for, where a terminal can show it."""
        if self._started:
            self._waiting.update(f"starting {', '.join(self._started)}")
            self._waiting.start()
        else:
            self._waiting.stop()


def _introduce(console: Console, stack: Stack, file: Path, seconds: float) -> None:
    """Say where the stack can be reached."""
    console.print(f"\n[bold]Up after {seconds:.1f} s.[/] Ctrl-C ends it.\n")
    for name in ("gateway", "ingest", "sync", "billing", "sandbox"):
        console.print(f"  {name:<15}{getattr(stack, name)}")
    console.print(f"  {'logs':<15}{stack.logs}")
    console.print(f"  {'credentials':<15}{file}\n")
