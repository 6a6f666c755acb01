"""Keeper of running servers: each that ends unexpectedly is logged and restarted, with growing backoff."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from mainstem.sandbox.servers.process import Child, ServerError

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""A server that ran this long is forgiven its earlier ends."""

Report = Callable[[str, str], None]
"""Told the name of a part and what has become of it: `starting`, `ready`, or a sentence."""


class KeptServer(Protocol):
    """A child process that knows when it is ready."""

    @property
    def child(self) -> Child:
        """Its process."""
        ...

    async def start(self) -> None:
        """Start it and return once it is ready. Safe to repeat."""
        ...

    async def stop(self, *, timeout_seconds: float = 2.0) -> None:
        """Ask it to end, and kill it when it has not done so in time. Safe to repeat."""
        ...

    async def crash(self) -> None:
        """End it at once."""
        ...


class Keeper:
    """Watches over servers that are up, by name."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._watches: dict[str, asyncio.Task[None]] = {}

    def keep(self, name: str, server: KeptServer) -> None:
        """Start this server again whenever it ends, until `release`."""
        self._watches[name] = asyncio.create_task(self._watch(name, server), name=f"keep {name}")

    async def release(self, *names: str) -> None:
        """Let these servers end when they do; without names, all of them."""
        watches = [self._watches.pop(name) for name in names or tuple(self._watches) if name in self._watches]
        for watch in watches:
            watch.cancel()
        for watch in watches:
            with contextlib.suppress(asyncio.CancelledError):
                await watch

    async def _watch(self, name: str, server: KeptServer) -> None:
        ends = 0
        while True:
            began = time.monotonic()
            code = await server.child.wait()
            ends = 1 if time.monotonic() - began > STEADY_SECONDS else ends + 1
            delay = min(FIRST_DELAY_SECONDS * 2 ** (ends - 1), LONGEST_DELAY_SECONDS)
            self._report(name, f"ended with code {code}; starting it again in {delay:g} s")
            await asyncio.sleep(delay)
            await self._start(name, server)

    async def _start(self, name: str, server: KeptServer) -> None:
        try:
            await server.start()
        except ServerError as error:
            self._report(name, str(error))
        else:
            self._report(name, "ready")


async def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Do all of it at once and return the results; the first that fails ends the others, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in work]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
