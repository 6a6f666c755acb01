"""`./just bench worker`: how fast ingest's worker takes events in payload mode, by what is mirrored.

Nine of ten events change a subscription that is mirrored, one brings a new one. A worker's speed is taken
between its first and its last batch, so that neither its start nor the benchmark's own work counts.
With `--base` a worker of an earlier commit takes its turns beside them, on a database of its own.
"""

import argparse
import asyncio
import random
import statistics
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from bodies import MONTH, START, Change, event
from mirrored import mirror_subscriptions
from report import Figures, Goal, progress, tell
from stage import Program, Stage, connected, costs, mainstem, open_stage, run
from trees import ROOT, Prepared, add_base, check_out, prepare

from mainstem.common.database.pool import Connection

ROWS = (10_000, 100_000, 1_000_000)
EVENTS = 20_000
RUNS = 3
NEW_IN = 10
SAMPLED_IN = 10
HEAD_START = timedelta(seconds=2)
"""How long after their storing events fall due, so that the storing itself is not measured."""
PATIENCE_SECONDS = 300
SEED = 5

ONE, TWO, BASE = "one", "two", "one, as it was"
FIGURES = {ONE: "per_second", TWO: "two_per_second", BASE: "base_per_second"}
RATIOS = {TWO: "two_to_one", BASE: "own_to_base"}

GOALS = (
    Goal("per_second_100000", least=1_500),
    Goal("slower_at_1000000", most=1.4),
    Goal("two_to_one_100000", least=1.4),
    Goal("memory_mib", most=200),
)

DONE = "SELECT count(*) FROM inbox.event WHERE status <> 'received'"
BATCHES = """
SELECT done_at, count(*) AS events FROM inbox.event WHERE status = 'done' GROUP BY done_at ORDER BY done_at
"""
IS_LEFT = "SELECT EXISTS (SELECT FROM inbox.event WHERE status = 'received')"
NOT_DONE = "SELECT count(*) FROM inbox.event WHERE status <> 'done'"


@dataclass
class Mirror:
    """What stands in the mirror, so that events can fit it."""

    chance: random.Random
    mirrored: int = 0
    new: int = 0
    turn: int = 0

    def changes(self, number: int) -> Iterator[Change]:
        """Yield so many changes, each newer than all before."""
        self.turn += 1
        at = START + self.turn * MONTH
        for one in range(number):
            name = f"evt_{self.turn}_{one}"
            if one % NEW_IN == 0:
                self.new += 1
                yield Change(name, self.mirrored + self.new, at, is_new=True)
            else:
                yield Change(name, self.chance.randint(1, self.mirrored), at + one)


@dataclass(frozen=True)
class Measured:
    """One run."""

    per_second: float
    worker_us: float
    postgres_us: float
    memory_mib: float


@dataclass(frozen=True)
class Side:
    """A tree whose worker is measured, on its own database."""

    prepared: Prepared
    connection: Connection
    mirror: Mirror


@asynccontextmanager
async def open_side(stage: Stage, name: str, tree: Path) -> AsyncIterator[Side]:
    """Prepare a tree's database, still empty."""
    prepared = await prepare(stage, name, tree)
    async with connected(prepared.superuser_url) as connection:
        yield Side(prepared, connection, Mirror(random.Random(SEED)))


async def measure(sizes: Sequence[int], events: int, runs: int, base: str | None) -> bool:
    """Run everything and print it; return whether the goals were reached."""
    found: dict[tuple[int, str], list[Measured]] = {}
    async with open_stage() as stage, AsyncExitStack() as opened:
        own = await opened.enter_async_context(open_side(stage, "own", ROOT))
        turns = {ONE: (own, 1), TWO: (own, 2)}
        if base is not None:
            earlier = open_side(stage, "base", check_out(base, stage.folder / "base"))
            turns[BASE] = (await opened.enter_async_context(earlier), 1)
        with progress() as shown:
            bar = shown.add_task("", total=len(sizes) * (1 + len(turns) * runs))
            for size in sizes:
                shown.update(bar, description=f"mirroring {size:,} subscriptions")
                for side in {id(side): side for side, _ in turns.values()}.values():
                    further = runs * 4 * events // NEW_IN
                    await mirror_subscriptions(side.connection, size, further=further)
                    side.mirror.mirrored, side.mirror.new = size, 0
                shown.advance(bar)
                # All take turns, so that what else runs here weighs on each.
                for title, (side, workers) in list(turns.items()) * runs:
                    shown.update(bar, description=f"{size:,} mirrored, {title}")
                    found.setdefault((size, title), []).append(await once(side, events * workers, workers))
                    shown.advance(bar)
    return report(found)


async def once(side: Side, events: int, workers: int) -> Measured:
    """Have so many workers take so many events, and return how that went."""
    connection, stage = side.connection, side.prepared.stage
    async with AsyncExitStack() as running:
        programs = {
            f"worker-{number}": await running.enter_async_context(
                stage.running(
                    f"worker-{number}",
                    mainstem("ingest", "work"),
                    "ingest",
                    **side.prepared.environment("ingest"),
                )
            )
            for number in range(workers)
        }
        await connection.execute("TRUNCATE inbox.event, outbox.entry")
        await connection.execute("CHECKPOINT")
        await store(connection, side.mirror.changes(events))
        with costs(programs, stage) as spent:
            await until_done(connection, events)
        return await evaluate(connection, programs, spent, events)


async def store(connection: Connection, changes: Iterator[Change]) -> None:
    """Put events into the inbox, as the door would have; a part of them belongs to sampled traces."""
    rows = [
        (
            "stripe",
            "default",
            change.event_id,
            change.kind,
            "subscription",
            f"sub_{change.number}",
            datetime.fromtimestamp(change.at, UTC),
            False,
            event(change),
            traceparent(number),
            "received",
        )
        for number, change in zip(count(), changes)
    ]
    names = (
        "provider account event_id type object_type object_id created livemode body traceparent status"
        " recorded_at due_at"
    )
    # Taken now, since to encode thousands of bodies may have taken longer than the head start.
    due = datetime.now(UTC) + HEAD_START
    records = [(*row, due, due) for row in rows]
    await connection.copy_records_to_table(
        "event", schema_name="inbox", columns=names.split(), records=records
    )


def traceparent(number: int) -> str:
    """Return the context of a trace of its own, sampled as often as the default has it."""
    trace, span = random.getrandbits(128) | 1, random.getrandbits(64) | 1
    return f"00-{trace:032x}-{span:016x}-0{int(number % SAMPLED_IN == 0)}"


async def until_done(connection: Connection, events: int) -> None:
    """Wait until every event has been taken."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        # Counting reads the index of what is left alone.
        while await connection.fetchval(IS_LEFT):  # noqa: ASYNC110 -- Postgres is asked, it does not call
            await asyncio.sleep(0.2)
    if await connection.fetchval(NOT_DONE) or await connection.fetchval(DONE) != events:
        sys.exit("events came to another end than done; nothing was measured")


async def evaluate(
    connection: Connection, programs: dict[str, Program], spent: dict[str, float], events: int
) -> Measured:
    """Take the speed from the batches' own times, which are those of their beginnings."""
    batches = await connection.fetch(BATCHES)
    first, last = batches[0], batches[-1]
    seconds = (last["done_at"] - first["done_at"]).total_seconds()
    return Measured(
        per_second=(events - last["events"]) / seconds,
        worker_us=sum(spent[name] for name in programs) / events * 1e6,
        postgres_us=spent["postgres"] / events * 1e6,
        memory_mib=max(program.memory_mib() for program in programs.values()),
    )


def report(found: dict[tuple[int, str], list[Measured]]) -> bool:
    """Print the best of the runs, and what an event cost in the median one."""
    best = {key: max(one.per_second for one in runs) for key, runs in found.items()}
    rows = [
        {
            "mirrored": size,
            "workers": title,
            "events/s, best": best[size, title],
            "lowest": min(one.per_second for one in runs),
            "CPU µs/event worker": statistics.median(one.worker_us for one in runs),
            "Postgres": statistics.median(one.postgres_us for one in runs),
            "MiB": max(one.memory_mib for one in runs),
        }
        for (size, title), runs in found.items()
    ]
    figures: Figures = {
        "memory_mib": round(max(one.memory_mib for runs in found.values() for one in runs), 1)
    }
    for (size, title), speed in best.items():
        figures[f"{FIGURES[title]}_{size}"] = round(speed)
        if title != ONE:
            figures[f"{RATIOS[title]}_{size}"] = round(
                speed / best[size, ONE] if title == TWO else best[size, ONE] / speed, 2
            )
        else:
            figures[f"worker_us_{size}"] = round(statistics.median(one.worker_us for one in found[size, ONE]))
            figures[f"postgres_us_{size}"] = round(
                statistics.median(one.postgres_us for one in found[size, ONE])
            )
    if (100_000, ONE) in best and (1_000_000, ONE) in best:
        figures["slower_at_1000000"] = round(best[100_000, ONE] / best[1_000_000, ONE], 2)
    return tell("worker", "Events taken by ingest's worker, payload mode", rows, figures, GOALS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default=",".join(map(str, ROWS)), help="how many are mirrored before")
    parser.add_argument("--events", type=int, default=EVENTS, help="events a worker and run")
    parser.add_argument("--runs", type=int, default=RUNS)
    add_base(parser)
    given = parser.parse_args()
    wanted = [int(size) for size in given.rows.split(",")]
    run(measure(wanted, given.events, given.runs, given.base))
