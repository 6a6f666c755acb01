"""The stage of every benchmark: a Postgres and a Valkey of its own, programs, and what they cost."""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import asyncpg
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from mainstem.common.migrations.upgrade import upgrade
from mainstem.sandbox.servers.ports import LOOPBACK, Ports
from mainstem.sandbox.servers.postgres import Postgres
from mainstem.sandbox.servers.process import Child, die_with_parent, list_children
from mainstem.sandbox.servers.roles import SERVICES, ensure_logins, login_of
from mainstem.sandbox.servers.valkey import Valkey
from mainstem.sandbox.servers.web import WebServer
from mainstem.sandbox.stack.programs import find_live_key, mainstem_script, without_ours
from mainstem.sandbox.stack.up import cancel_on_signal

MEBIBYTE = 1024 * 1024
PASSWORD = "bench"
HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Program:
    """A program that runs, ready to be asked."""

    port: int
    pid: int
    log: Path

    @property
    def base(self) -> str:
        """Its base URL."""
        return f"http://{LOOPBACK}:{self.port}"

    def cpu_seconds(self) -> float:
        """Return what all its threads have computed so far."""
        return _cpu_seconds(self.pid)

    def memory_mib(self) -> float:
        """Return the most that it ever held in memory."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / MEBIBYTE


@dataclass
class Stage:
    """Stores with the settings they come with, so commits are as durable as in production."""

    folder: Path
    ports: Ports
    postgres: Postgres
    valkey: Valkey
    collector: str
    """Where traces are sent, and thrown away."""

    @property
    def owner_url(self) -> str:
        """The DSN of the database's owner."""
        return self.postgres.url()

    def url_of(self, service: str) -> str:
        """Return the DSN of a service's own login."""
        return f"postgresql://{login_of(service)}:{PASSWORD}@{LOOPBACK}:{self.postgres.port}/mainstem"

    def postgres_cpu_seconds(self) -> float:
        """Return what Postgres, with every backend there ever was, has computed so far."""
        postmaster = self.postgres.child.pid
        return _cpu_seconds(postmaster, with_ended=True) + sum(map(_cpu_seconds, list_children(postmaster)))

    @asynccontextmanager
    async def running(
        self, name: str, command: Sequence[str | Path], service: str, **told: str
    ) -> AsyncIterator[Program]:
        """Run a program that serves a heartbeat; tracing is on at its default ratio, and exported."""
        port = self.ports.take()
        environment = {
            **without_ours(os.environ),
            "MAINSTEM_HOST": LOOPBACK,
            "MAINSTEM_PORT": str(port),
            "HOSTNAME": name,
            "DATABASE_URL": self.url_of(service),
            "REDIS_URL": self.valkey.url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector,
            # Nobody fetches it: what is measured needs no identity.
            "MAINSTEM_IDENTITY_JWKS_URL": f"{self.collector}/jwks.json",
            **told,
        }
        child = Child(name, command, log=self.folder / f"{name}.log", environment=environment)
        server = WebServer(child, port=port)
        try:
            await server.start()
            yield Program(port, child.pid, child.log)
        finally:
            await server.stop()


def mainstem(*words: str) -> list[str | Path]:
    """Return one of our commands as a program."""
    return [mainstem_script(), *words]


def script(name: str, *words: str) -> list[str | Path]:
    """Return a script of this folder as a program."""
    return [sys.executable, HERE / name, *words]


def run(measuring: Coroutine[Any, Any, bool]) -> NoReturn:
    """Run a benchmark to its end, or that of whoever started it; the exit code says what was reached."""
    die_with_parent()
    sys.exit(0 if uvloop.run(_until_signalled(measuring)) else 1)


async def _until_signalled(measuring: Coroutine[Any, Any, bool]) -> bool:
    with cancel_on_signal(), suppress(asyncio.CancelledError):
        return await measuring
    return False


@asynccontextmanager
async def open_stage(**settings: str) -> AsyncIterator[Stage]:
    """Open a stage, and leave nothing of it behind.

    Args:
        settings: of Postgres, beyond its own defaults.
    """
    if name := find_live_key(os.environ):
        sys.exit(f"{name} holds a live key; a benchmark does not run where one is in sight")
    ports = Ports()
    with _folder() as folder:
        postgres = Postgres(folder / "postgres", port=ports.take(), settings=settings)
        valkey = Valkey(folder / "valkey", port=ports.take())
        try:
            await asyncio.gather(postgres.start(), valkey.start())
            await upgrade(postgres.url())
            await ensure_logins(postgres.superuser_url("mainstem"), dict.fromkeys(SERVICES, PASSWORD))
            async with serving(
                Starlette(routes=[Route("/v1/traces", _throw_away, methods=["POST"])])
            ) as base:
                yield Stage(folder, ports, postgres, valkey, base)
        finally:
            await valkey.stop()
            await postgres.crash()
            postgres.remove()
            ports.close()


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an application in this process and yield its base URL."""
    ports = Ports()
    port = ports.take()
    config = uvicorn.Config(app, host=LOOPBACK, port=port, log_level="critical", lifespan="off")
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield f"http://{LOOPBACK}:{port}"
    finally:
        server.should_exit = True
        await task
        ports.close()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Give a connection of the benchmark's own, on which statements may take long."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@contextmanager
def costs(named: Mapping[str, Program], stage: Stage) -> Iterator[dict[str, float]]:
    """Fill in, at the end, how many CPU seconds each program and `postgres` took meanwhile, and `wall`."""
    before = {name: program.cpu_seconds() for name, program in named.items()}
    postgres, started_at = stage.postgres_cpu_seconds(), time.monotonic()
    spent: dict[str, float] = {}
    yield spent
    spent |= {name: program.cpu_seconds() - before[name] for name, program in named.items()}
    spent["postgres"] = stage.postgres_cpu_seconds() - postgres
    spent["wall"] = time.monotonic() - started_at


class _Server(uvicorn.Server):
    """A server that leaves the benchmark its signals."""

    def capture_signals(self) -> "nullcontext[None]":  # type: ignore[override]  # a context manager either way
        """Capture none."""
        return nullcontext()


async def _throw_away(request: Request) -> Response:
    await request.body()
    return Response()


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mainstem-bench-"))
    folder.chmod(0o711)  # as root Postgres runs as another user
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cpu_seconds(pid: int, *, with_ended: bool = False) -> float:
    """Return a process's CPU time, 0 if it has ended; on demand with that of its ended children."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if with_ended else 13])) / TICKS
