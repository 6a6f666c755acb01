"""Comparison of what the gateway understood, what its upstream received, and what its caller was answered."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.attacks.grammar import Attempt
from tests.attacks.recorder import Arrival, Recorder, recording
from tests.attacks.spied import NOTES
from tests.attacks.stage import Address, Stage, plainly
from tests.attacks.wire import Outcome, Wire, connect, fetch

from mainstem.sandbox.servers.ports import Ports

ROOT = Path(__file__).parents[2]
QUIET_SECONDS = 0.015
SHORT_ROUNDS, LONG_ROUNDS = 1, 15
PATIENCE_SECONDS = 5.0
ROUTE = """
[[routes]]
methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
path = "/{name}/{{what}}"
upstream = "sync"
{access}
"""
ROUTES = "".join(
    ROUTE.format(name=name, access=access)
    for name, access in (
        ("open", "public = true"),
        ("hasty", "public = true\ntimeout_seconds = 0.5"),
        ("early", "public = true"),
        ("inner", "public = true"),
        ("guarded", 'scope = "contacts:read"'),
    )
)


@dataclass
class Understood:
    """One request as the gateway's app got it."""

    number: int
    port: int
    method: str
    target: tuple[bytes, bytes] | None = None
    """Path and query; None until the request has ended."""
    sha: str = ""
    size: int = 0
    is_whole: bool = False
    is_answered: bool = False


@dataclass(repr=False)
class Bench:
    """A spied gateway before a recording upstream."""

    address: Address
    pid: int
    recorder: Recorder
    token: bytes
    _notes: Path
    _offset: int = 0
    _understood: dict[int, Understood] = field(default_factory=dict)

    async def attempt(self, attempt: Attempt) -> list[str]:
        """Send an attempt and an innocent request after it; return what is wrong."""
        self.recorder.forget()
        self._understood.clear()
        wire = await connect(self.address)
        try:
            port = wire.local_port
            for packet, pause in zip(attempt.packets, attempt.pauses, strict=True):
                await wire.send([packet.replace(b"<TOKEN>", self.token), pause], patience=PATIENCE_SECONDS)
            await self._until_quiet(wire)
            own = [one for one in self._read() if one.port == port]
            heads = [number for number, one in enumerate(own) if one.method == "HEAD"]
            answered = sum(one.is_answered for one in own)
            outcome = wire.outcome(heads)
            if outcome.rest:
                # A refusal has a body, also where the request before it was a HEAD and got no answer.
                outcome = wire.outcome(heads[: len(outcome.answers) - 1])
        finally:
            await wire.close()
        innocent = await self._ask_innocent()
        is_settled = await self._settle()
        understood = self._read()
        return [
            *innocent,
            *([] if is_settled else ["a request of a caller that left still runs"]),
            *judge_answers(outcome, [one for one in understood if one.port == port], answered),
            *judge_hidden(attempt, understood),
            *self.recorder.violations,
            *judge_arrivals(self.recorder.arrivals, understood),
        ]

    async def _ask_innocent(self) -> list[str]:
        outcome = await fetch(self.address, plainly("GET", b"/open/innocent"))
        found = [(one.status, one.body) for one in outcome.answers]
        return [] if found == [(200, b"ok")] else [f"the innocent request was answered {found}"]

    def _has_running(self) -> bool:
        return any(one.target is None for one in self._read())

    async def _until_quiet(self, wire: Wire) -> None:
        """Wait until nothing moves any more: for long while something may still be under way."""
        idle, last = 0, None
        while not await wire.until_closed(patience=QUIET_SECONDS):
            understood = self._read()
            moved = wire.received, len(understood), sum(one.size + 1 for one in self.recorder.arrivals)
            idle, last = (idle + 1 if moved == last else 0), moved
            is_under_way = not understood or any(one.target is None for one in understood)
            if idle >= (LONG_ROUNDS if is_under_way else SHORT_ROUNDS):
                return

    async def _settle(self) -> bool:
        """Wait until no request runs any more; return whether that came in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while self._has_running():  # noqa: ASYNC110 -- another process writes the notes
                    await asyncio.sleep(0.005)
        return not self._has_running()

    def _read(self) -> list[Understood]:
        """Return all requests of this attempt, in the order in which they began."""
        with self._notes.open("rb") as notes:
            notes.seek(self._offset)
            for line in notes:
                if line.endswith(b"\n"):
                    self._offset += len(line)
                    self._take(json.loads(line))
        return list(self._understood.values())

    def _take(self, note: dict[str, Any]) -> None:
        number = note["number"]
        if note["event"] == "begun":
            self._understood[number] = Understood(number, note["port"], note["method"])
        elif number in self._understood:
            found = self._understood[number]
            found.target = (bytes.fromhex(note["target"][0]), bytes.fromhex(note["target"][1]))
            found.sha, found.size, found.is_whole = note["sha"], note["size"], note["is_whole"]
            found.is_answered = note["is_answered"]


def judge_arrivals(arrivals: Sequence[Arrival], understood: Sequence[Understood]) -> list[str]:
    """Return every difference between what the upstream received and what the gateway understood."""
    by_number = {one.number: one for one in understood}
    numbers = [arrival.number for arrival in arrivals]
    problems = [] if len(set(numbers)) == len(numbers) else [f"one request arrived twice: {numbers}"]
    for arrival in arrivals:
        one = by_number.get(arrival.number)
        if one is None:
            problems.append(f"{arrival.method} {arrival.target!r} arrived and was never understood")
        elif differences := _differences(arrival, one):
            problems.append(f"{arrival.method} {arrival.target!r} arrived: {', '.join(differences)}")
    return problems


def _differences(arrival: Arrival, one: Understood) -> list[str]:
    path, _, query = arrival.target.partition(b"?")
    found = []
    if arrival.method != one.method:
        found.append(f"method, not {one.method}")
    if (path, query) != one.target:
        found.append(f"target, not {one.target}")
    if arrival.is_whole and not (one.is_whole and sha256(arrival.body).hexdigest() == one.sha):
        found.append(f"body of {len(arrival.body)} bytes, not {one.size}")
    if not arrival.is_whole and one.is_whole and not (arrival.is_early and arrival.is_cut):
        found.append(f"body unfinished after {len(arrival.body)} bytes of {one.size}")
    return found


def judge_answers(outcome: Outcome, understood: Sequence[Understood], answered: int) -> list[str]:
    """Return what is wrong about the answers to a connection; `answered` of them must have come."""
    problems = [f"malformed answer: {outcome.rest[:60]!r}"] if outcome.rest and understood else []
    more = len(outcome.answers) - len(understood)
    is_refusal = more == 1 and outcome.answers[-1].status >= 400 and outcome.is_closed
    if more > 0 and not is_refusal:
        problems.append(f"{len(understood)} requests were answered {outcome.statuses}")
    missing = answered - len(outcome.answers)
    if missing > 0 and not outcome.is_closed:
        problems.append(f"{missing} answers did not come: {outcome.statuses}")
    return problems


def judge_hidden(attempt: Attempt, understood: Sequence[Understood]) -> list[str]:
    """Return the bodies that were taken for requests."""
    targets = [one.target for one in understood if one.target is not None]
    inner = [path for path, _ in targets if path.startswith(b"/inner")]
    return [f"a body became a request: {inner}"] if attempt.is_hidden and inner else []


@asynccontextmanager
async def open_bench(stage: Stage, folder: Path) -> AsyncIterator[Bench]:
    """Start a spied gateway on the stage's database, before an upstream that records."""
    (routes := folder / "routes.toml").write_text(ROUTES)
    (notes := folder / "notes.jsonl").touch()
    ports = Ports()
    async with recording() as recorder:
        address = ("127.0.0.1", ports.take())
        environment = {
            "PATH": os.environ["PATH"],
            NOTES: str(notes),
            "DATABASE_URL": stage.stack.database_urls["gateway"],
            "MAINSTEM_PORT": str(address[1]),
            "MAINSTEM_ROUTES_FILE": str(routes),
            "MAINSTEM_UPSTREAM_SYNC": f"http://127.0.0.1:{recorder.port}",
            "MAINSTEM_LOG_LEVEL": "ERROR",
        }
        log = (folder / "gateway.log").open("wb")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.attacks.spied", cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            await _until_ready(address)
            yield Bench(address, process.pid, recorder, stage.token, notes)
        finally:
            process.terminate()
            await process.wait()
            log.close()
            ports.close()


async def _until_ready(address: Address) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await fetch(address, plainly("GET", b"/__lbheartbeat__"))
            except ConnectionError:
                await asyncio.sleep(0.1)
            else:
                return
