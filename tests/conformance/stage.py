"""The stack of a run, as the runner uses it: callers at the gateway, the sandbox's control, the tables."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from tests.conformance.case import CaseError
from tests.conformance.ctms import statements
from tests.conformance.ctms.records import Counts, Line, Log, read_metrics
from tests.conformance.deliveries import Deliveries

from mainstem.common.queue import wake
from mainstem.common.queue.wake import WakeQueue
from mainstem.gateway.clients.secrets import hash_secret
from mainstem.gateway.clients.storage import add as add_client
from mainstem.gateway.routes.table import SCOPES
from mainstem.sandbox.stack.assembly import CLIENT
from mainstem.sandbox.stack.folder import Stack
from mainstem.sandbox.stack.launcher import Launcher
from mainstem.sync.settings import Settings as SyncSettings

Json = Any

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.03
LOOK_SECONDS = 0.005
BEFORE_DELIVERY = ("events_leased", "events_due", "events_waiting", "outbox_unsettled")
DELIVERING = ("deliveries_leased", "deliveries_due")

SETTINGS = {
    "STRIPE_API_KEY": "",
    "MAINSTEM_DELETE_VANISHED_PRODUCTS": "0",
    "MAINSTEM_PRODUCT_RULES": "ctms-1.1.0",
}
"""Settings of CTMS's stage: payloads are the truth, nothing is deleted at Acoustic, CTMS's rules decide."""


SEEN_SECONDS = 3.0
"""Longest wait for a log line of something that has ended."""


@dataclass(frozen=True)
class Window:
    """Deliveries of one window: calls that Acoustic got, log lines, metrics before and after."""

    calls: Sequence[Mapping[str, Json]]
    lines: Sequence[Line]
    before: Counts
    after: Counts
    backlog: "Counter[str]"


class Stage:
    """One stack, used by one case at a time."""

    def __init__(
        self,
        launcher: Launcher,
        stack: Stack,
        http: httpx.AsyncClient,
        tables: "asyncpg.Pool[asyncpg.Record]",
        wake_queue: WakeQueue,
        *,
        settings: Mapping[str, str],
    ) -> None:
        self._launcher = launcher
        self.stack = stack
        self._http = http
        self._wake_queue = wake_queue
        self._settings = settings
        self.tables = tables
        self.deliveries = Deliveries(tables, self.now)
        self._token = ""
        self._requests = Log(Path(stack.logs, "gateway.log"))
        self._deliveries = Log(Path(stack.logs, "sync-worker.log"))

    @property
    def acoustic_timeout(self) -> float:
        """Seconds that sync waits for Acoustic's answer."""
        default = SyncSettings.model_fields["acoustic_timeout_seconds"].default
        return float(self._settings.get("CTMS_ACOUSTIC_TIMEOUT_S", default))

    async def empty(self) -> None:
        """Have everything as it was when the stack had started."""
        await self.control("POST", "/deliveries/pause")
        await self.control("DELETE", "/faults")
        await self.control("POST", "/empty")
        await self.control("POST", "/acoustic/reset")
        await self.tables.execute("DELETE FROM gateway.api_client WHERE client_id <> $1", self._client_id)
        await self.resume()

    async def resume(self) -> None:
        """Resume deliveries, and wake sync's worker, which otherwise looks within a second."""
        await self.control("POST", "/deliveries/resume")
        await wake.send(self._wake_queue, "sync")

    @property
    def _client_id(self) -> str:
        return self.stack.clients[CLIENT].client_id

    async def control(self, method: str, path: str, **more: Any) -> Json:
        """Ask the sandbox; return its answer, None where it has none."""
        answer = await self._http.request(method, f"{self.stack.sandbox}/_sandbox{path}", **more)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def now(self) -> datetime:
        """Return the world's time."""
        return datetime.fromisoformat((await self.control("GET", "/clock"))["now"])

    async def token(self) -> str:
        """Return a token of the client that may do everything."""
        client = self.stack.clients[CLIENT]
        if not self._token:
            answer = await self._http.post(
                f"{self.stack.gateway}/token",
                data={"grant_type": "client_credentials"},
                auth=(client.client_id, client.client_secret),
            )
            self._token = answer.raise_for_status().json()["access_token"]
        return self._token

    async def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request to the gateway."""
        return await self._http.request(method, f"{self.stack.gateway}{path}", **more)

    @property
    def is_sending(self) -> bool:
        """Whether deliveries are sent."""
        return self._settings.get("CTMS_ACOUSTIC_INTEGRATION_FEATURE_FLAG") != "0"

    async def process_started(self) -> float:
        """Return when the worker's process started, by its own metrics."""
        return (await self._metrics())["process_start_time_seconds", frozenset()]

    async def lines_of(self, answer: httpx.Response) -> list[Line]:
        """Return the gateway's log lines of a request that was answered."""
        deadline = time.monotonic() + SEEN_SECONDS
        found: list[Line] = []
        while not any(line["event"] == "request.served" for line in found):
            if time.monotonic() > deadline:
                raise CaseError("the gateway logged nothing of a request that it answered")
            name = answer.headers["x-request-id"]
            found += [line for line in self._requests.lines() if line.get("request_id") == name]
            # The gateway logs a request after its answer.
            await asyncio.sleep(LOOK_SECONDS)
        return found

    async def add_clients(self, clients: Sequence[Mapping[str, Json]]) -> None:
        """Make API clients with the secrets that a case gives them."""
        for client in clients:
            async with self.tables.acquire() as connection:
                await add_client(
                    connection,
                    client["client_id"],
                    email="client@example.com",
                    secret_hash=hash_secret(client["secret"]),
                    scopes=list(SCOPES),
                    at=await self.now(),
                )
            enabled = client.get("enabled", True)
            await self.tables.execute(
                "UPDATE gateway.api_client SET enabled = $2 WHERE client_id = $1",
                client["client_id"],
                enabled,
            )

    async def run_sql(self, statement: str) -> None:
        """Do what a statement about CTMS's tables does.

        A gateway believes what it read of a client for ten seconds; one that starts again has read nothing.
        """
        await statements.run(statement, self.tables, await self.now())
        if statements.changes_clients(statement):
            await self.restart("gateway")

    async def restart(self, name: str) -> None:
        """Restart a process, which then has nothing in memory; return once it is ready."""
        await self._launcher.restart(name)

    async def wait_until_none(self, *counts: str) -> None:
        """Return once nothing of these is outstanding.

        Raises:
            CaseError: something still was after a minute, or an event was given up.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            outstanding = await self.control("GET", "/settled")
            if outstanding["dead_letters"]:
                raise CaseError("an event was laid aside as dead")
            left = {name: outstanding[name] for name in counts if outstanding[name]}
            if not left:
                return
            if time.monotonic() > deadline:
                raise CaseError(f"still outstanding after {PATIENCE_SECONDS:.0f} s: {left}")
            await asyncio.sleep(POLL_SECONDS)

    async def heartbeat(self) -> httpx.Response:
        """Return sync's heartbeat."""
        return await self._http.get(f"{self.stack.sync}/__heartbeat__")

    async def heartbeat_without_database(self) -> httpx.Response:
        """Return sync's heartbeat while Postgres is down; return once every process can work again."""
        await self._launcher.take_down("postgres")
        try:
            return await self.heartbeat()
        finally:
            await self._launcher.bring_up("postgres")
            for base in (
                *self.stack.workers.values(),
                self.stack.sync,
                self.stack.ingest,
                self.stack.billing,
                self.stack.gateway,
            ):
                await self._ready(base)

    async def _ready(self, base: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (await self._http.get(f"{base}/__heartbeat__")).is_success:
            if time.monotonic() > deadline:
                raise CaseError("a process does not recover from a restart of Postgres")
            await asyncio.sleep(POLL_SECONDS)

    async def deliver(self, held: Collection[str] = ()) -> Window:
        """Deliver what is due, once, but for the contacts that are held back."""
        await self.deliveries.hold(held)
        try:
            return await self._deliver()
        finally:
            await self.deliveries.let_go(held)

    async def _deliver(self) -> Window:
        last = max((one["number"] for one in await self._received()), default=0)
        due, before = await self.deliveries.due(), await self._metrics()
        self._deliveries.lines()
        await self.resume()
        await self.wait_until_none(*DELIVERING)
        await self.control("POST", "/deliveries/pause")
        lines = await self._lines_about(due)
        calls = [one for one in await self._received() if one["number"] > last and "rows" in one]
        return Window(calls, lines, before, await self._metrics(), Counter())

    async def _lines_about(self, contacts: Collection[str]) -> list[Line]:
        """Return how deliveries ended by the worker's log, once each of these contacts is in it."""
        deadline = time.monotonic() + SEEN_SECONDS
        found: list[Line] = []
        while True:
            lines = self._deliveries.lines()
            found += [line for line in lines if str(line.get("event", "")).startswith("delivery.")]
            if {*contacts} <= {str(line.get("contact_id")) for line in found} or time.monotonic() > deadline:
                return found
            await asyncio.sleep(POLL_SECONDS)

    async def _metrics(self) -> Counts:
        answer = await self._http.get(f"{self.stack.workers['sync']}/metrics")
        return read_metrics(answer.raise_for_status().text)

    async def _received(self) -> list[dict[str, Json]]:
        received: list[dict[str, Json]] = (await self.control("GET", "/acoustic/received"))["received"]
        return received


@asynccontextmanager
async def open_stage(launcher: Launcher, settings: Mapping[str, str]) -> AsyncIterator[Stage]:
    """Start a stack and open a stage on it; `settings` are those of its services beside a stack's own."""
    # A pool: a connection would not survive a restart of Postgres.
    async with (
        launcher as stack,
        asyncpg.create_pool(stack.database_url, min_size=0, max_size=2) as tables,
        httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http,
    ):
        wake_queue = wake.connect(stack.redis_url)
        try:
            yield Stage(launcher, stack, http, tables, wake_queue, settings=settings)
        finally:
            await wake.close(wake_queue)
