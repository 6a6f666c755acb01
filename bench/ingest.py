"""`./just bench ingest`: how much of the bare door's speed is left when events are stored before the answer.

Four apps take turns under the same load: (a) one that only verifies, (b) one insert a request, (c) ours, and
(d) ours as it was at an earlier commit.
"""

import argparse
import asyncio
import json
import statistics
from contextlib import AsyncExitStack
from pathlib import Path

from bodies import SECRET
from report import Figures, Goal, progress, tell
from stage import Program, Stage, connected, costs, mainstem, open_stage, run, script
from trees import add_base, check_out, prepare

from mainstem.sandbox.servers.ports import LOOPBACK

ROUNDS = 5
SECONDS = 4.0
CONNECTIONS = 64
MOST_A_SECOND = 8_000

APPS: dict[str, list[str | Path]] = {
    "verify": script("doors.py", "verify"),
    "each": script("doors.py", "each"),
    "group": mainstem("ingest", "serve"),
    "base": mainstem("ingest", "serve"),
}
TITLES = {
    "verify": "(a) only verifies",
    "each": "(b) one insert a request",
    "group": "(c) ours, group commit",
    "base": "(d) ours as it was",
}

GOALS = (
    Goal("group_to_verify", least=0.6),
    Goal("group_to_each", least=1.25),
    Goal("group_to_base", least=1.0),
    Goal("group_memory_mib", most=100),
    Goal("refused", most=0),
)

Measured = dict[str, float]


async def measure(base: str | None, rounds: int, seconds: float, connections: int) -> bool:
    """Run everything and print it; return whether the goals were reached."""
    measured: dict[str, list[Measured]] = {name: [] for name in APPS}
    async with open_stage() as stage, AsyncExitStack() as running:
        earlier = await prepare(stage, "base", check_out(base, stage.folder / "base"))
        programs = {
            name: await running.enter_async_context(
                stage.running(
                    name,
                    command,
                    "ingest",
                    STRIPE_WEBHOOK_SECRETS=SECRET,
                    **(earlier.environment("ingest") if name == "base" else {}),
                )
            )
            for name, command in APPS.items()
        }
        with progress() as shown:
            bar = shown.add_task("warming up", total=rounds * len(APPS))
            for program in programs.values():
                await load(program, "w", 1.0, connections)
            for number in range(rounds):
                for name, program in programs.items():
                    shown.update(bar, description=f"round {number + 1}: {TITLES[name]}")
                    measured[name].append(await once(stage, program, f"{number:04d}", seconds, connections))
                    shown.advance(bar)
        memory = {name: program.memory_mib() for name, program in programs.items()}
    return report(measured, memory)


async def once(stage: Stage, program: Program, prefix: str, seconds: float, connections: int) -> Measured:
    """Load one app for a while, on an empty inbox."""
    for database in ("mainstem", "base"):
        async with connected(stage.postgres.superuser_url(database)) as connection:
            await connection.execute("TRUNCATE inbox.event")
            await connection.execute("CHECKPOINT")
    with costs({"app": program}, stage) as spent:
        answered = await load(program, prefix, seconds, connections)
    return {
        **answered,
        "app_us": spent["app"] / answered["total"] * 1e6,
        "postgres_us": spent["postgres"] / answered["total"] * 1e6,
    }


async def load(program: Program, prefix: str, seconds: float, connections: int) -> Measured:
    """Have the load generator run against an app, and return what it says."""
    told = {
        "host": LOOPBACK,
        "port": program.port,
        "path": "/webhooks/stripe",
        "status": 202,
        "connections": connections,
        "seconds": seconds,
        "requests": int((seconds + 1) * MOST_A_SECOND),
        "prefix": prefix,
    }
    generator = await asyncio.create_subprocess_exec(
        *map(str, script("traffic.py")), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    answer, _ = await generator.communicate(json.dumps(told).encode())
    return dict(json.loads(answer))


def report(measured: dict[str, list[Measured]], memory: dict[str, float]) -> bool:
    """Print medians; ratios are those of the medians."""
    medians = {
        name: {key: statistics.median(one[key] for one in runs) for key in runs[0]}
        for name, runs in measured.items()
    }
    rows = [
        {
            "app": TITLES[name],
            "events/s": one["rate"],
            "lowest": min(run["rate"] for run in measured[name]),
            "highest": max(run["rate"] for run in measured[name]),
            "p50 ms": one["p50_ms"],
            "p99 ms": one["p99_ms"],
            "CPU µs/event": one["app_us"],
            "Postgres": one["postgres_us"],
            "MiB": memory[name],
        }
        for name, one in medians.items()
    ]
    group = medians["group"]["rate"]
    figures: Figures = {
        "group_to_verify": round(group / medians["verify"]["rate"], 2),
        "group_to_each": round(group / medians["each"]["rate"], 2),
        "group_to_base": round(group / medians["base"]["rate"], 2),
        **{f"{name}_per_second": round(one["rate"]) for name, one in medians.items()},
        **{f"{name}_cpu_us": round(one["app_us"]) for name, one in medians.items()},
        "group_p99_ms": round(medians["group"]["p99_ms"], 1),
        "group_memory_mib": round(memory["group"], 1),
        "refused": int(sum(run["refused"] for runs in measured.values() for run in runs)),
    }
    return tell("ingest", "Signed events accepted, median of the rounds", rows, figures, GOALS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add_base(parser)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    given = parser.parse_args()
    run(measure(given.base, given.rounds, given.seconds, given.connections))
