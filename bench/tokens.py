"""`./just bench tokens`: latency at the gateway with and without fifty bad logins a second.

Attacks come from one address, or each login from another one, so that no limit stops it.
Rounds of all kinds alternate. A public route and the token of an honest client are measured.
"""

import argparse
import asyncio
import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urlencode

import httpx
from report import Figures, Goal, progress, tell
from stage import mainstem, open_stage, run, serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mainstem.common.database.pool import open_pool
from mainstem.gateway.clients import storage as clients
from mainstem.gateway.clients.secrets import hash_secret
from mainstem.sandbox.servers.ports import LOOPBACK

A_SECOND = 50
ROUNDS = 3
SECONDS = 2.0
PAUSE_SECONDS = 0.005
ATTACKS = ("none", "one address", "many addresses")
GRANT = {"grant_type": "client_credentials"}
HONEST = ("id_bench", "secret_bench")

GOALS = (
    Goal("route_p50_ratio_one_address", most=1.5),
    Goal("route_p50_ratio_many_addresses", most=1.5),
    Goal("honest_refused", most=0),
)

Delays = dict[str, list[float]]


async def measure(a_second: int, seconds: float) -> bool:
    """Run everything and print it; return whether the goals were reached."""
    routes: Delays = defaultdict(list)
    tokens: Delays = defaultdict(list)
    refused = 0
    with progress() as shown:
        bar = shown.add_task("starting", total=ROUNDS * len(ATTACKS))
        async with gateway() as http:
            for attack in ATTACKS * ROUNDS:
                shown.update(bar, description=f"bad logins: {attack}")
                async with attacked(http, attack, a_second):
                    refused += await sample(http, seconds, routes[attack], tokens[attack])
                shown.advance(bar)
    return report(routes, tokens, refused, a_second)


@asynccontextmanager
async def gateway() -> AsyncIterator[httpx.AsyncClient]:
    """Run a gateway with an honest client and an upstream that answers at once."""
    upstream = Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])
    async with open_stage() as stage, serving(upstream) as base:
        async with open_pool(stage.url_of("gateway"), name="bench") as pool, pool.transaction() as connection:
            client_id, secret = HONEST
            given = {"email": "bench@example.com", "scopes": ["contacts:read"], "at": datetime.now(UTC)}
            await clients.add(connection, client_id, secret_hash=hash_secret(secret), **given)
        upstreams = {f"MAINSTEM_UPSTREAM_{name}": base for name in ("INGEST", "SYNC", "BILLING")}
        async with (
            stage.running("gateway", mainstem("gateway", "serve"), "gateway", **upstreams) as program,
            httpx.AsyncClient(base_url=program.base, timeout=30) as http,
        ):
            yield http


async def answer(request: Request) -> Response:
    """Answer as an upstream does."""
    await request.body()
    return Response()


@asynccontextmanager
async def attacked(http: httpx.AsyncClient, attack: str, a_second: int) -> AsyncIterator[None]:
    """Send bad logins meanwhile; at the end wait for their answers, so that the next round is quiet."""
    stopped = asyncio.Event()
    sending = asyncio.create_task(send(http.base_url.port or 0, attack, a_second, stopped))
    try:
        yield
    finally:
        stopped.set()
        await sending


async def send(port: int, attack: str, a_second: int, stopped: asyncio.Event) -> None:
    """Send bad logins at a steady pace, whether or not the last ones were answered, until stopped."""
    addresses = addresses_of(attack)
    async with asyncio.TaskGroup() as logins:
        for number, address in enumerate(addresses):
            if stopped.is_set():
                return
            logins.create_task(fail(port, address, number))
            await asyncio.sleep(1 / a_second)


def addresses_of(attack: str) -> Iterator[str]:
    """Return the address of each bad login in turn."""
    if attack == "none":
        return iter(())
    if attack == "one address":
        return itertools.repeat("127.0.0.2")
    return (f"127.{second}.{third}.2" for second in range(1, 256) for third in range(256))


async def fail(port: int, address: str, number: int) -> None:
    """Send one bad login, half of them on the honest client; the answer is read and thrown away."""
    client_id = HONEST[0] if number % 2 else f"id_nobody-{number}"
    form = urlencode({**GRANT, "client_id": client_id, "client_secret": f"wrong-{number}"})
    lines = (
        "POST /token HTTP/1.1",
        f"Host: {LOOPBACK}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(form)}",
        "Connection: close",
    )
    reader, writer = await asyncio.open_connection(LOOPBACK, port, local_addr=(address, 0))
    writer.write(("\r\n".join(lines) + "\r\n\r\n" + form).encode())
    await reader.read()
    writer.close()


async def sample(http: httpx.AsyncClient, seconds: float, routes: list[float], tokens: list[float]) -> int:
    """Time a public route and an honest token in turn; return how many tokens were refused."""
    refused, end = 0, time.perf_counter() + seconds
    while (started_at := time.perf_counter()) < end:
        (await http.post("/webhooks/stripe", content=b"{}")).raise_for_status()
        routed_at = time.perf_counter()
        refused += not (await http.post("/token", data=GRANT, auth=HONEST)).is_success
        routes.append((routed_at - started_at) * 1_000)
        tokens.append((time.perf_counter() - routed_at) * 1_000)
        await asyncio.sleep(PAUSE_SECONDS)
    return refused


def report(routes: Delays, tokens: Delays, refused: int, a_second: int) -> bool:
    """Print what was measured; return whether the goals were reached."""
    figures: Figures = {"honest_refused": refused}
    rows: list[dict[str, object]] = []
    for attack in ATTACKS:
        row: dict[str, object] = {"bad logins from": attack}
        for name, delays in (("route", routes), ("token", tokens)):
            marks, quiet = statistics.quantiles(delays[attack], n=100), statistics.median(delays["none"])
            row |= {
                f"{name} p50 ms": marks[49],
                f"{name} p95 ms": marks[94],
                f"{name} ratio": marks[49] / quiet,
            }
            figures[f"{name}_p50_ratio_{attack.replace(' ', '_')}"] = round(marks[49] / quiet, 2)
        rows.append(row)
    return tell("tokens", f"Gateway at {a_second} bad logins/s", rows, figures, GOALS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=A_SECOND, help="bad logins a second")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each of nine rounds")
    given = parser.parse_args()
    run(measure(given.rate, given.seconds))
