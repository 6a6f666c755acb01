"""`./just bench worker`: how fast ingest's worker takes events in payload mode, by what is mirrored.

Nine of ten events change a subscription that is mirrored, one brings a new one. A worker's speed is taken
between its first and its last batch, so that neither its start nor the benchmark's own work counts.
"""

import argparse
import asyncio
import random
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

from bodies import MONTH, START, Change, event
from mirrored import mirror_subscriptions
from report import Figures, Goal, progress, tell
from stage import Program, Stage, connected, costs, mainstem, open_stage, run

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


async def measure(sizes: Sequence[int], events: int, runs: int) -> bool:
    """Run everything and print it; return whether the goals were reached."""
    found: dict[tuple[int, int], list[Measured]] = {}
    mirror = Mirror(random.Random(SEED))
    async with open_stage() as stage, connected(stage.postgres.superuser_url("mainstem")) as connection:
        with progress() as shown:
            bar = shown.add_task("", total=len(sizes) * (1 + 2 * runs))
            for size in sizes:
                shown.update(bar, description=f"mirroring {size:,} subscriptions")
                await mirror_subscriptions(connection, size, further=runs * 4 * events // NEW_IN)
                mirror.mirrored, mirror.new = size, 0
                shown.advance(bar)
                # One and two workers take turns, so that what else runs here weighs on both.
                for turn in range(2 * runs):
                    workers = 1 + turn % 2
                    shown.update(bar, description=f"{size:,} mirrored, {workers} worker(s)")
                    one = await once(stage, connection, mirror, events * workers, workers)
                    found.setdefault((size, workers), []).append(one)
                    shown.advance(bar)
    return report(found)


async def once(stage: Stage, connection: Connection, mirror: Mirror, events: int, workers: int) -> Measured:
    """Have so many workers take so many events, and return how that went."""
    async with AsyncExitStack() as running:
        programs = {
            f"worker-{number}": await running.enter_async_context(
                stage.running(f"worker-{number}", mainstem("ingest", "work"), "ingest")
            )
            for number in range(workers)
        }
        await connection.execute("TRUNCATE inbox.event, outbox.entry")
        await connection.execute("CHECKPOINT")
        await store(connection, mirror.changes(events))
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


def report(found: dict[tuple[int, int], list[Measured]]) -> bool:
    """Print the best of the runs, and what an event cost in the median one."""
    best = {key: max(one.per_second for one in runs) for key, runs in found.items()}
    rows = [
        {
            "mirrored": size,
            "workers": workers,
            "events/s, best": best[size, workers],
            "lowest": min(one.per_second for one in runs),
            "CPU µs/event worker": statistics.median(one.worker_us for one in runs),
            "Postgres": statistics.median(one.postgres_us for one in runs),
            "MiB": max(one.memory_mib for one in runs),
        }
        for (size, workers), runs in found.items()
    ]
    figures: Figures = {
        "memory_mib": round(max(one.memory_mib for runs in found.values() for one in runs), 1)
    }
    for (size, workers), speed in best.items():
        name = "per_second" if workers == 1 else "two_per_second"
        figures[f"{name}_{size}"] = round(speed)
        if workers == 1:
            runs = found[size, 1]
            figures[f"worker_us_{size}"] = round(statistics.median(one.worker_us for one in runs))
            figures[f"postgres_us_{size}"] = round(statistics.median(one.postgres_us for one in runs))
            figures[f"two_to_one_{size}"] = round(best[size, 2] / speed, 2)
    if (100_000, 1) in best and (1_000_000, 1) in best:
        figures["slower_at_1000000"] = round(best[100_000, 1] / best[1_000_000, 1], 2)
    return tell("worker", "Events taken by ingest's worker, payload mode", rows, figures, GOALS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default=",".join(map(str, ROWS)), help="how many are mirrored before")
    parser.add_argument("--events", type=int, default=EVENTS, help="events a worker and run")
    parser.add_argument("--runs", type=int, default=RUNS)
    given = parser.parse_args()
    wanted = [int(size) for size in given.rows.split(",")]
    run(measure(wanted, given.events, given.runs))
