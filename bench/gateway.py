"""`./just bench gateway`: requests through the gateway as it is and as it was, before one static upstream.

Both gateways run in this environment's packages, each from its own sources and on its own database, and take
turns under the same load: 32 connections that read one contact with a token.
"""

import argparse
import asyncio
import json
import statistics
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from report import Figures, Goal, progress, tell
from stage import Program, Stage, costs, mainstem, open_stage, run, script
from trees import ROOT, add_base, check_out, output_of, prepare

from mainstem.sandbox.servers.ports import LOOPBACK

ROUNDS = 5
SECONDS = 4.0
CONNECTIONS = 32
MOST_A_SECOND = 8_000
PATH = "/ctms/332de237-cab7-4461-bcc3-48e68f42bd5c"
TITLES = {"base": "(a) as it was", "own": "(b) as it is"}

GOALS = (Goal("own_to_base", least=1.0), Goal("own_memory_mib", most=120), Goal("refused", most=0))

Measured = dict[str, float]


@dataclass(frozen=True)
class Gateway:
    """A gateway that runs, and a token that it gave."""

    program: Program
    token: str


async def measure(base: str, rounds: int, seconds: float, connections: int) -> bool:
    """Run everything and print it; return whether the goals were reached."""
    measured: dict[str, list[Measured]] = {name: [] for name in TITLES}
    async with open_stage() as stage, AsyncExitStack() as running:
        upstream = await running.enter_async_context(static_upstream(stage))
        trees = {"base": check_out(base, stage.folder / "base"), "own": ROOT}
        gateways = {
            name: await running.enter_async_context(started(stage, name, tree, upstream))
            for name, tree in trees.items()
        }
        with progress() as shown:
            bar = shown.add_task("warming up", total=rounds * len(TITLES))
            for gateway in gateways.values():
                await load(gateway, 1.0, connections)
            for number in range(rounds):
                # Each goes first in turn: which of two goes first on a warm machine is worth a few per cent.
                for name in sorted(gateways, reverse=bool(number % 2)):
                    shown.update(bar, description=f"round {number + 1}: {TITLES[name]}")
                    measured[name].append(await once(stage, gateways[name], seconds, connections))
                    shown.advance(bar)
        memory = {name: gateway.program.memory_mib() for name, gateway in gateways.items()}
    return report(measured, memory)


@asynccontextmanager
async def started(stage: Stage, name: str, tree: Path, upstream: str) -> AsyncIterator[Gateway]:
    """Run a tree's gateway on a database that the tree itself migrated, and give it a client."""
    environment = (await prepare(stage, name, tree)).environment("gateway")
    command = ("gateway", "clients", "add", "bench", "--email", "bench@example.com", "--json")
    told = json.loads(await output_of(environment, *command, "--scope", "contacts:read"))
    upstreams = {f"MAINSTEM_UPSTREAM_{name.upper()}": upstream for name in ("ingest", "sync", "billing")}
    async with stage.running(name, mainstem("gateway", "serve"), "gateway", **environment, **upstreams) as it:
        credentials = (told["client_id"], told["client_secret"])
        async with httpx.AsyncClient(base_url=it.base) as http:
            answer = await http.post("/token", auth=credentials, data={"grant_type": "client_credentials"})
        yield Gateway(it, answer.raise_for_status().json()["access_token"])


@asynccontextmanager
async def static_upstream(stage: Stage) -> AsyncIterator[str]:
    """Run the upstream as a process of its own."""
    port = stage.ports.take()
    child = await asyncio.create_subprocess_exec(*map(str, script("upstream.py", str(port))))
    try:
        yield f"http://{LOOPBACK}:{port}"
    finally:
        child.terminate()
        await child.wait()


async def once(stage: Stage, gateway: Gateway, seconds: float, connections: int) -> Measured:
    """Load one gateway for a time."""
    with costs({"gateway": gateway.program}, stage) as spent:
        answered = await load(gateway, seconds, connections)
    return {**answered, "cpu_us": spent["gateway"] / answered["total"] * 1e6}


async def load(gateway: Gateway, seconds: float, connections: int) -> Measured:
    """Have the load generator run against a gateway, and return its figures."""
    port = gateway.program.port
    lines = (f"GET {PATH} HTTP/1.1", f"Host: {LOOPBACK}:{port}", f"Authorization: Bearer {gateway.token}")
    told = {
        "host": LOOPBACK,
        "port": port,
        "request": "\r\n".join((*lines, "Accept: application/json", "", "")),
        "status": 200,
        "connections": connections,
        "seconds": seconds,
        "requests": int((seconds + 1) * MOST_A_SECOND),
    }
    generator = await asyncio.create_subprocess_exec(
        *map(str, script("traffic.py")), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    answer, _ = await generator.communicate(json.dumps(told).encode())
    return dict(json.loads(answer))


def report(measured: dict[str, list[Measured]], memory: dict[str, float]) -> bool:
    """Print medians; the ratio is that of the medians."""
    medians = {
        name: {key: statistics.median(one[key] for one in runs) for key in runs[0]}
        for name, runs in measured.items()
    }
    rows = [
        {
            "gateway": TITLES[name],
            "requests/s": one["rate"],
            "lowest": min(run["rate"] for run in measured[name]),
            "highest": max(run["rate"] for run in measured[name]),
            "p50 ms": one["p50_ms"],
            "p99 ms": one["p99_ms"],
            "CPU µs/request": one["cpu_us"],
            "MiB": memory[name],
        }
        for name, one in medians.items()
    ]
    figures: Figures = {
        "own_to_base": round(medians["own"]["rate"] / medians["base"]["rate"], 2),
        **{f"{name}_per_second": round(one["rate"]) for name, one in medians.items()},
        **{f"{name}_cpu_us": round(one["cpu_us"]) for name, one in medians.items()},
        **{f"{name}_p99_ms": round(one["p99_ms"], 1) for name, one in medians.items()},
        **{f"{name}_memory_mib": round(size, 1) for name, size in memory.items()},
        "refused": int(sum(run["refused"] for runs in measured.values() for run in runs)),
    }
    return tell("gateway", "Requests through the gateway, median of the rounds", rows, figures, GOALS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add_base(parser)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    given = parser.parse_args()
    run(measure(given.base, given.rounds, given.seconds, given.connections))
