"""Launcher of a whole stack: starts, keeps and stops stores, the sandbox's world and the services."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from mainstem.sandbox.servers.ports import Ports
from mainstem.sandbox.servers.web import WebServer
from mainstem.sandbox.stack.assembly import (
    Options,
    Script,
    Stores,
    describe,
    environments_of,
    provide_client,
    take_ports,
)
from mainstem.sandbox.stack.folder import RunFolder, Stack
from mainstem.sandbox.stack.keeper import Keeper, KeptServer, Report, together
from mainstem.sandbox.stack.programs import (
    PROGRAMS,
    WORLD,
    Addresses,
    Program,
    environment_of,
    mainstem_script,
)
from mainstem.sandbox.world.clock import MovableClock

STOP_SECONDS = {"services": 0.8, "world": 0.3, "valkey": 0.3, "postgres": 0.4}
"""Time for each stage to end by itself, in the order they are stopped: under two seconds in all."""


def _say_nothing(_name: str, _state: str) -> None:
    """Leave a stack's progress unreported."""


class Launcher:
    """Starts a stack, keeps it running while the context is open, and leaves no process behind.

    Has to be used in the main thread. Its methods take single parts down, up, or to a halt, by their
    names: `postgres`, `valkey`, and those of the programs.

    Args:
        options: what kind of stack.
        report: told about each part's progress.
        programs: what runs besides the stores.
        script: what runs the programs' commands; None for this environment's `mainstem`.
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        report: Report = _say_nothing,
        programs: Sequence[Program] = PROGRAMS,
        script: Sequence[str | Path] | None = None,
    ) -> None:
        self._options = options or Options()
        self._report = report
        self._programs = programs
        inherited, self._outside = environments_of(self._options)
        self._folder = RunFolder(self._options.run, stack_file=self._options.stack_file)
        self._script = Script(script or (mainstem_script(),), inherited, self._folder.logs)
        self._ports = Ports()
        self._keeper = Keeper(report)
        self._servers: dict[str, KeptServer] = {}
        self._stores: Stores | None = None

    async def __aenter__(self) -> Stack:
        """Start everything and return where it is.

        Raises:
            ServerError: a part cannot be started; everything else is stopped again.
        """
        try:
            return await self._start()
        except BaseException:
            await self._stop()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the services, then the world, Valkey and Postgres, within two seconds."""
        await self._stop()

    @property
    def stack_file(self) -> Path:
        """Return where the stack is described."""
        return self._folder.stack_file

    @property
    def pids(self) -> dict[str, int]:
        """The parts' process ids."""
        return {name: server.child.pid for name, server in self._servers.items()}

    async def kill(self, name: str) -> None:
        """End a part at once; it is started again as after any other accident."""
        await self._servers[name].crash()

    def kill_process(self, name: str) -> None:
        """End a part's own process alone, without those that it started; the part is started again."""
        self._servers[name].child.send(signal.SIGKILL)

    def pause(self, name: str) -> None:
        """Halt a part where it stands, its connections open, until `resume`."""
        self._servers[name].child.pause()

    def resume(self, name: str) -> None:
        """Let a halted part go on."""
        self._servers[name].child.resume()

    async def take_down(self, name: str, *, crash: bool = False) -> None:
        """Stop a part, or end it at once, and leave it down until `bring_up`."""
        await self._keeper.release(name)
        server = self._servers[name]
        await (server.crash() if crash else server.stop())

    async def bring_up(self, name: str) -> None:
        """Start a part that was taken down, and return once it is ready."""
        await self._start_server(name)
        self._keeper.keep(name, self._servers[name])

    async def restart(self, name: str, *, crash: bool = False) -> None:
        """Take a part down and bring it up again."""
        await self.take_down(name, crash=crash)
        await self.bring_up(name)

    async def _start(self) -> Stack:
        self._folder.open()
        MovableClock.create(self._folder.clock_file)
        ports = take_ports(self._ports, self._programs, are_free=self._options.free_ports)
        self._stores = Stores(self._folder, ports, self._outside, self._options)
        self._servers |= self._stores.servers
        await together(*(self._start_server(name) for name in self._stores.servers))
        addresses = await self._prepare(self._stores, ports)
        client, *_ = await together(
            provide_client(self._script, addresses.database_urls["gateway"]),
            *(self._start_server(name) for name in self._add_programs(addresses)),
        )
        stack = describe(addresses, self._folder, self._stores.owner_url, client, self._outside)
        self._folder.write_stack(stack)
        for name, server in self._servers.items():
            self._keeper.keep(name, server)
        return stack

    async def _prepare(self, stores: Stores, ports: dict[str, int]) -> Addresses:
        """Migrate the database, make the logins, and return where everything will be."""
        self._report("migrations", "starting")
        await self._script.run("migrations", ("database", "upgrade"), {"DATABASE_URL": stores.owner_url})
        database_urls = await stores.provide_logins(self._folder.secrets().logins)
        self._report("migrations", "ready")
        return Addresses(
            ports=ports,
            database_urls=database_urls,
            redis_url=stores.redis_url,
            clock_file=self._folder.clock_file,
            folder=self._folder.path / "world",
        )

    def _add_programs(self, addresses: Addresses) -> list[str]:
        """Make a server of each program and return their names."""
        secrets = self._folder.secrets()
        for program in self._programs:
            settings = environment_of(program, addresses, secrets, self._outside)
            settings |= {} if program.stage == "world" else self._options.settings
            child = self._script.child(program.name, program.command, settings)
            self._servers[program.name] = WebServer(child, port=addresses.ports[program.name])
        return [program.name for program in self._programs]

    async def _start_server(self, name: str) -> None:
        self._report(name, "starting")
        await self._servers[name].start()
        self._report(name, "ready")

    async def _stop(self) -> None:
        """Stop everything in order, and give folder and ports back. Safe to repeat."""
        await self._keeper.release()
        failures: list[BaseException] = []
        for stage, seconds in STOP_SECONDS.items():
            names = [name for name in self._servers if _stage_of(name) == stage]
            stops = (self._stop_server(name, seconds) for name in names)
            # One that cannot be stopped, whyever, does not keep the others.
            failures += [each for each in await asyncio.gather(*stops, return_exceptions=True) if each]
        self._report("everything", "stopped")
        if self._stores and self._options.run is None:
            self._stores.remove()
        self._folder.close()
        self._ports.close()
        if failures:
            raise failures[0]

    async def _stop_server(self, name: str, seconds: float) -> None:
        server = self._servers[name]
        if self._options.run is None and self._stores and name in self._stores.servers:
            # What it would write in a last checkpoint, which can take long, is thrown away next.
            await server.crash()
        else:
            await server.stop(timeout_seconds=seconds)


def _stage_of(name: str) -> str:
    """Return the stage in which a part is stopped."""
    if name in STOP_SECONDS:
        return name
    return "world" if name == WORLD.name else "services"
