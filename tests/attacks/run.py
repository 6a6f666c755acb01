"""Long run: attacks of the table and of the grammar on a whole stack, beside innocent callers."""

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from hypothesis import HealthCheck, Phase, given, seed, settings
from rich.console import Console
from tests.attacks.callers import Callers
from tests.attacks.case import attack, judge
from tests.attacks.cases.table import FAMILIES
from tests.attacks.comparison import Bench, open_bench
from tests.attacks.grammar import Attempt, attempts
from tests.attacks.report import Report
from tests.attacks.stage import Stage, open_stage, rss_of

ATTACKERS = 6
BATCH = 100
WARM_ROUNDS = 60
LINE_SECONDS = 15.0
STORES = ("postgres", "valkey", "sandbox")
"""Parts of a stack that keep what they are given; their memory is not compared."""

STORED = "SELECT count(*) FROM inbox.event WHERE event_id LIKE $1"


@dataclass(frozen=True)
class Wish:
    """One run as it is wanted; it ends by time or by count, whichever comes first."""

    seed: int
    minutes: float
    most: int


@dataclass
class Raid:
    """All attacks of one run, and what they found."""

    wish: Wish
    stage: Stage
    bench: Bench
    over: asyncio.Event = field(default_factory=asyncio.Event)
    sent: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Attack until time or count is used up."""
        self._began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._generate())
            for number in range(ATTACKERS):
                group.create_task(self._attack(random.Random(f"{self.wish.seed} {number}")))
            group.create_task(self._end())

    async def _end(self) -> None:
        while self.seconds < self.wish.minutes * 60 and self.sent.total() < self.wish.most:  # noqa: ASYNC110 -- time
            await asyncio.sleep(0.2)
        self.over.set()

    _began: float = 0.0

    @property
    def seconds(self) -> float:
        """How long the raid has lasted."""
        return time.monotonic() - self._began

    async def _attack(self, choice: random.Random) -> None:
        """Send cases of the table, one after the other."""
        doors = list(self.stage.doors)
        while not self.over.is_set():
            family, name = choice.choice([*FAMILIES]), choice.choice(doors)
            case = choice.choice(FAMILIES[family])
            door = self.stage.doors[name]
            try:
                outcome = await attack(case, door)
            except OSError as error:
                self.wrong.append(f"{case.name} at {name}: {type(error).__name__}")
                continue
            self.sent[family] += 1
            problems = judge(case, outcome, await self.stage.plain(case.method, door))
            self.wrong += [f"{case.name} at {name}: {problem}" for problem in problems]

    async def _generate(self) -> None:
        """Send what the grammar yields, batch by batch."""
        batch = 0
        while not self.over.is_set():
            await asyncio.to_thread(self._draw, batch, asyncio.get_running_loop())
            batch += 1

    def _draw(self, batch: int, loop: asyncio.AbstractEventLoop) -> None:
        @seed(self.wish.seed * 1_000_003 + batch)
        @settings(
            max_examples=BATCH,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(attempt=attempts())
        def send(attempt: Attempt) -> None:
            if not self.over.is_set():
                asyncio.run_coroutine_threadsafe(self._try(attempt), loop).result()

        send()

    async def _try(self, attempt: Attempt) -> None:
        self.bench.token = self.stage.token
        problems = await self.bench.attempt(attempt)
        self.sent["generated"] += 1
        self.differences += [f"{problem} after {b'|'.join(attempt.packets)!r}" for problem in problems]


async def run(wish: Wish, console: Console) -> Report:
    """Do a run and return its report.

    Raises:
        ServerError: the stack cannot be started.
    """
    console.print(f"seed {wish.seed}: {wish.minutes:g} minutes, at most {wish.most:,} attacks")
    with tempfile.TemporaryDirectory() as folder:
        async with open_stage(with_workers=True) as stage, open_bench(stage, Path(folder)) as bench:
            callers = Callers(stage, f"innocent{wish.seed}")
            await callers.open()
            raid = Raid(wish, stage, bench)
            before = await _memory(callers, bench)
            await _rage(raid, callers, console)
            after = await _memory(callers, bench)
            lost = callers.stored - await _stored(callers)
            return Report(
                seed=wish.seed,
                seconds=raid.seconds,
                sent=dict(sorted(raid.sent.items())),
                wrong=raid.wrong,
                differences=raid.differences,
                calls=dict(callers.requests),
                harms=[*callers.harms, *([f"webhooks: {lost} are not stored"] if lost else [])],
                memory={name: (before[name], after[name]) for name in before},
            )


async def _rage(raid: Raid, callers: Callers, console: Console) -> None:
    async with asyncio.TaskGroup() as group:
        showing = group.create_task(_show(raid, callers, console))
        calling = group.create_task(callers.run(raid.over))
        await raid.run()
        await calling
        showing.cancel()


async def _show(raid: Raid, callers: Callers, console: Console) -> None:
    while True:
        await asyncio.sleep(LINE_SECONDS)
        console.print(
            f"{raid.seconds:6.0f} s of {raid.wish.minutes * 60:.0f} s | {raid.sent.total():,} attacks"
            f" | {callers.requests.total():,} innocent requests, {len(callers.harms)} harmed"
            f" | {len(raid.differences)} differences | {len(raid.wrong)} wrong answers",
            highlight=False,
        )


async def _memory(callers: Callers, bench: Bench) -> Mapping[str, int]:
    """Return the resident bytes of each process after a fixed number of innocent requests."""
    await callers.warm_up(WARM_ROUNDS)
    pids = {**callers.stage.pids, "spied gateway": bench.pid}
    return {name: rss_of(pid) for name, pid in pids.items() if name not in STORES}


async def _stored(callers: Callers) -> int:
    connection = await asyncpg.connect(callers.stage.stack.database_url)
    try:
        return int(await connection.fetchval(STORED, f"evt\\_{callers.name}\\_%"))
    finally:
        await connection.close()
