"""`./just bench latency`: from an event's delivery to the platform, at a steady pace, in both modes.

With `--base` an earlier commit is measured first, each mode on a stage of its own. Events come one by one,
each about another contact than the last; the platform answers after 10 ms, and Stripe at once.
"""

import argparse
import asyncio
import itertools
import math
import re
import statistics
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import msgspec
from bodies import MONTH, SECRET, START, Change, event, signature, subscription
from mirrored import mirror_subscriptions
from report import Figures, Goal, progress, tell
from rich.progress import Progress
from stage import Program, connected, costs, mainstem, open_stage, run, serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from trees import ROOT, Prepared, add_base, check_out, prepare

from mainstem.common.database.pool import Connection
from mainstem.sandbox.servers.ports import LOOPBACK

A_SECOND = 100
SECONDS = 20
CONTACTS = 500
ANSWER_SECONDS = 0.01
QUIET_SECONDS = 2.0
MODES = ("payload", "fetch")

GOALS = (
    Goal("payload_p50_ms", most=100),
    Goal("payload_p99_ms", most=250),
    Goal("payload_lost", most=0),
    Goal("fetch_lost", most=0),
)

CONTACTS_MADE = """
INSERT INTO contact.contact (contact_id, created_at, updated_at)
SELECT md5('contact-' || n)::uuid, now(), now() FROM generate_series(1, $1::integer) AS n;

INSERT INTO contact.contact_group (contact_id, name, data, created_at, updated_at)
SELECT md5('contact-' || n)::uuid, 'email', jsonb_build_object('primary_email', n || '@example.com'), now(),
  now()
FROM generate_series(1, $1::integer) AS n;

INSERT INTO contact.contact_group (contact_id, name, data, created_at, updated_at)
SELECT md5('contact-' || n)::uuid, 'fxa', jsonb_build_object('fxa_id', 'owner-' || n), now(), now()
FROM generate_series(1, $1::integer) AS n;

INSERT INTO contact.identity (contact_id, kind, value, exclusive)
SELECT md5('contact-' || n)::uuid, kind, value, true
FROM generate_series(1, $1::integer) AS n, LATERAL (VALUES
  ('email_id', md5('contact-' || n)::uuid::text), ('primary_email', n || '@example.com'),
  ('fxa_id', 'owner-' || n)
) AS identity (kind, value)
"""
NUMBERS = "SELECT n, md5('contact-' || n)::uuid AS contact_id FROM generate_series(1, $1::integer) AS n"

HEAD_END = b"\r\n\r\n"
DONE = b"<Envelope><Body><RESULT><SUCCESS>TRUE</SUCCESS></RESULT></Body></Envelope>"
CONTACT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
RELATIONAL = "InsertUpdateRelationalTable"


@dataclass
class Outside:
    """Stripe and the platform: knows each subscription's state, and when the platform heard of whom."""

    latest: dict[int, Change] = field(default_factory=dict)
    heard: dict[uuid.UUID, list[float]] = field(default_factory=lambda: defaultdict(list))

    def app(self) -> Starlette:
        """Return both as one app."""
        return Starlette(
            routes=[
                Route("/oauth/token", self.grant, methods=["POST"]),
                Route("/XMLAPI", self.hear, methods=["POST"]),
                Route("/v1/subscriptions/sub_{number:int}", self.show),
            ]
        )

    async def grant(self, _request: Request) -> Response:
        """Grant a token."""
        return JSONResponse({"access_token": "bench", "token_type": "bearer", "expires_in": 14_400})

    async def hear(self, request: Request) -> Response:
        """Note when products of a contact came, and answer a little later."""
        now = time.perf_counter()
        (xml,) = parse_qs((await request.body()).decode())["xml"]
        if RELATIONAL in xml and (found := CONTACT_ID.search(xml)):
            self.heard[uuid.UUID(found[0])].append(now)
        await asyncio.sleep(ANSWER_SECONDS)
        return Response(DONE, media_type="text/xml")

    async def show(self, request: Request) -> Response:
        """Show a subscription as it now is."""
        change = self.latest[request.path_params["number"]]
        return Response(msgspec.json.encode(subscription(change)), media_type="application/json")


@dataclass(frozen=True)
class Sent:
    """An event that was delivered, and when."""

    number: int
    at: float


async def measure(modes: list[str], a_second: int, seconds: int, base: str | None) -> bool:
    """Run everything and print it; return whether the goals were reached."""
    rows, figures = [], Figures()
    with progress() as shown:
        for mode, revision in itertools.product(modes, [None] if base is None else [base, None]):
            row, found = await once(mode, a_second, seconds, revision, shown)
            rows.append(row)
            figures |= found
    return tell("latency", f"Event to platform at {a_second} events/s", rows, figures, GOALS)


async def once(
    mode: str, a_second: int, seconds: int, revision: str | None, shown: Progress
) -> tuple[dict[str, object], Figures]:
    """Run one mode on a stage of its own, by the tree as it is or as it was at a revision."""
    title = mode if revision is None else f"{mode}, as it was"
    bar = shown.add_task(f"{title}: starting", total=CONTACTS + a_second * seconds)
    outside = Outside()
    async with open_stage() as stage, serving(outside.app()) as base, AsyncExitStack() as running:
        tree = ROOT if revision is None else check_out(revision, stage.folder / "base")
        prepared = await prepare(stage, "latency", tree)
        async with connected(prepared.superuser_url) as connection:
            contacts = await fill(connection)
        programs = await start(prepared, mode, base, running)
        sender = Sender(programs["ingest"], outside, a_second)
        shown.update(bar, description=f"{title}: first event of each contact")
        async for _ in sender.send(CONTACTS):
            shown.advance(bar)
        await asyncio.sleep(QUIET_SECONDS)
        sender.sent.clear()
        shown.update(bar, description=f"{title}: measuring")
        with costs(programs, stage) as spent:
            async for _ in sender.send(a_second * seconds):
                shown.advance(bar)
            await asyncio.sleep(QUIET_SECONDS)
    return evaluate(title, sender.sent, outside, contacts, spent)


async def fill(connection: Connection) -> dict[int, uuid.UUID]:
    """Mirror a subscription for each contact, and return the contacts by its number."""
    await mirror_subscriptions(connection, CONTACTS)
    for statement in CONTACTS_MADE.split(";\n"):
        await connection.execute(statement, CONTACTS)
    return {row["n"]: row["contact_id"] for row in await connection.fetch(NUMBERS, CONTACTS)}


async def start(prepared: Prepared, mode: str, base: str, running: AsyncExitStack) -> dict[str, Program]:
    """Start door, worker and sync's worker."""
    told = {
        "MAINSTEM_PROFILE": "sandbox",
        "STRIPE_WEBHOOK_SECRETS": SECRET,
        "MAINSTEM_STRIPE_API_BASE": base,
        "MAINSTEM_ACOUSTIC_API_BASE": base,
        "CTMS_ACOUSTIC_CLIENT_ID": "bench",
        "CTMS_ACOUSTIC_CLIENT_SECRET": "bench",
        "CTMS_ACOUSTIC_REFRESH_TOKEN": "bench",
        "CTMS_ACOUSTIC_MAIN_TABLE_ID": "1",
        "CTMS_ACOUSTIC_NEWSLETTER_TABLE_ID": "2",
        "CTMS_ACOUSTIC_PRODUCT_SUBSCRIPTIONS_ID": "3",
        "CTMS_ACOUSTIC_SYNC_FEATURE_FLAG": "1",
        "CTMS_ACOUSTIC_INTEGRATION_FEATURE_FLAG": "1",
    }
    if mode == "fetch":
        told["STRIPE_API_KEY"] = "sk_test_bench"
    commands = {"ingest": "serve", "ingest-worker": "work", "sync-worker": "work"}
    programs = {}
    for name, command in commands.items():
        service = name.partition("-")[0]
        environment = told | prepared.environment(service)
        program = prepared.stage.running(name, mainstem(service, command), service, **environment)
        programs[name] = await running.enter_async_context(program)
    return programs


class Sender:
    """Delivers signed events at a steady pace, whether or not the last ones were answered."""

    def __init__(self, door: Program, outside: Outside, a_second: int) -> None:
        self.sent: list[Sent] = []
        self._door = door
        self._outside = outside
        self._pause = 1 / a_second
        self._turns = itertools.count()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, number: int) -> AsyncIterator[None]:
        """Send so many, in turn about each contact; yield after each."""
        # Made before, so that this process takes as little as it can from what it measures.
        prepared = [self._prepare(next(self._turns)) for _ in range(number)]
        started_at = time.perf_counter()
        async with asyncio.TaskGroup() as deliveries:
            for one, (change, request) in enumerate(prepared):
                await asyncio.sleep(max(0.0, started_at + one * self._pause - time.perf_counter()))
                deliveries.create_task(self._deliver(change, request))
                yield

    def _prepare(self, turn: int) -> tuple[Change, bytes]:
        number, at = 1 + turn % CONTACTS, START + MONTH + turn
        is_canceled = turn // CONTACTS % 2 == 1
        change = Change(f"evt_{turn}", number, at, canceled_at=at if is_canceled else None)
        body = event(change)
        lines = (
            "POST /webhooks/stripe HTTP/1.1",
            f"Host: {LOOPBACK}:{self._door.port}",
            f"Stripe-Signature: {signature(body)}",
            f"Content-Length: {len(body)}",
        )
        return change, "\r\n".join(lines).encode() + HEAD_END + body

    async def _deliver(self, change: Change, request: bytes) -> None:
        self._outside.latest[change.number] = change
        reader, writer = await self._connection()
        self.sent.append(Sent(change.number, time.perf_counter()))
        writer.write(request)
        head = await reader.readuntil(HEAD_END)
        if not head.startswith(b"HTTP/1.1 202"):
            sys.exit(f"the door answered {head.splitlines()[0].decode()}")
        self._idle.append((reader, writer))

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection that nobody uses and that the door has not closed, else a new one."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(LOOPBACK, self._door.port)


def evaluate(
    title: str, sent: list[Sent], outside: Outside, contacts: dict[int, uuid.UUID], spent: dict[str, float]
) -> tuple[dict[str, object], Figures]:
    """Match what was heard of each contact with what was sent, in order: at most one hearing an event."""
    by_number: dict[int, list[float]] = defaultdict(list)
    for one in sent:
        by_number[one.number].append(one.at)
    delays = [
        (heard_at - sent_at) * 1_000
        for number, times in by_number.items()
        for sent_at, until in itertools.pairwise([*times, math.inf])
        if (heard_at := _first(outside.heard[contacts[number]], sent_at, until)) is not None
    ]
    marks = statistics.quantiles(delays, n=100)
    lost = len(sent) - len(delays)
    row: dict[str, object] = {
        "mode": title,
        "events": len(sent),
        "p50 ms": marks[49],
        "p95 ms": marks[94],
        "p99 ms": marks[98],
        "longest": max(delays),
        "unheard": lost,
        **{f"CPU ms {one}": spent[one] / len(sent) * 1_000 for one in spent if one != "wall"},
    }
    name = re.sub(r"\W+", "_", title)
    figures: Figures = {
        f"{name}_p50_ms": round(marks[49], 1),
        f"{name}_p95_ms": round(marks[94], 1),
        f"{name}_p99_ms": round(marks[98], 1),
        f"{name}_lost": lost,
    }
    return row, figures


def _first(times: list[float], since: float, until: float) -> float | None:
    """Return the first time in a span, None if there is none."""
    return next((at for at in times if since <= at < until), None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--rate", type=int, default=A_SECOND, help="events a second")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    add_base(parser)
    given = parser.parse_args()
    run(measure(given.modes.split(","), given.rate, given.seconds, given.base))
