"""Stops of a step, read back from the database: what each wrote, with its time and its trace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainstem.common.database.pool import Connection
from mainstem.common.queue.hints import HINT
from mainstem.common.telemetry.spans import trace_id_of

MIRROR = ("customer", "product", "price", "subscription", "invoice")

SOLD = """
SELECT (SELECT count(*) FROM billing.account WHERE updated_at >= $1) AS account,
       (SELECT count(*) FROM billing.reservation WHERE updated_at >= $1) AS reservation
"""

MARK = """
SELECT coalesce((SELECT max(id) FROM inbox.event), 0) AS event,
       coalesce((SELECT max(id) FROM outbox.entry), 0) AS entry,
       coalesce((SELECT max(id) FROM contact.delivery_log), 0) AS answer,
       clock_timestamp() AS machine_time
"""

EVENTS = """
SELECT id, type, status, recorded_at, done_at, traceparent FROM inbox.event WHERE id > $1 ORDER BY id
"""

ENTRIES = "SELECT topic, recorded_at, settled_at, traceparent FROM outbox.entry WHERE id > $1 ORDER BY id"

ANSWERS = (
    "SELECT request, outcome, recorded_at, traceparent FROM contact.delivery_log WHERE id > $1 ORDER BY id"
)

DERIVED = (
    "SELECT product_id, segment, derived_at FROM subscription.product_subscription WHERE derived_at >= $1"
)


@dataclass(frozen=True)
class Mark:
    """Positions of the tables when a step began."""

    event: int
    entry: int
    answer: int
    machine_time: datetime
    world_time: datetime
    fetches: int


@dataclass(frozen=True)
class Stop:
    """One line of the demo's table; `after_ms` counts from the step's first recorded event, or action."""

    number: str
    verb: str
    wrote: str
    after_ms: float | None = None
    trace_id: str | None = None


async def mark(database: Connection, world_time: datetime, fetches: int) -> Mark:
    """Note where the tables stand now."""
    row = await database.fetchrow(MARK)
    return Mark(**dict(row or {}), world_time=world_time, fetches=fetches)


async def read(database: Connection, since: Mark, fetches: int) -> list[Stop]:
    """Return what every stop wrote since the mark; stops that wrote nothing are left out."""
    events = await database.fetch(EVENTS, since.event)
    entries = await database.fetch(ENTRIES, since.entry)
    answers = await database.fetch(ANSWERS, since.answer)
    derived = await database.fetch(DERIVED, since.world_time)
    sold = await database.fetchrow(SOLD, since.world_time)
    zero = min((row["recorded_at"] for row in events), default=since.world_time)
    way = _traced(answers) or _traced(entries) or _traced(events)
    return [
        *_sell(dict(sold or {}), events),
        *_record(events, zero, way),
        *_fetch(fetches - since.fetches),
        *_mirror(await _count_mirror(database, since.machine_time), events, zero, way),
        *_derive(derived, zero),
        *_announce(entries, zero, way),
        *_relay(entries, zero, way),
        *_deliver(answers, zero, way),
    ]


def _sell(counts: Mapping[str, int], events: Sequence[Any]) -> list[Stop]:
    """Return what billing wrote, which is no stop of the stream: it stands before the first."""
    wrote = [f"billing.{table} {count}" for table, count in counts.items() if count]
    hints = sum(row["type"] == HINT for row in events)
    if hints:
        wrote.append(f"{hints} hints in inbox.event")
    return [Stop("-", "sell", ", ".join(wrote))] if wrote else []


def _record(events: Sequence[Any], zero: datetime, way: str | None) -> list[Stop]:
    if not events:
        return []
    kinds = sorted({row["type"] for row in events if row["status"] != "ignored"})
    ignored = sum(row["status"] == "ignored" for row in events)
    wrote = f"inbox.event +{len(events)} ({ignored} of types nobody works on){_listed(kinds)}"
    return [Stop("1-2", "receive, record", wrote, _ms(events, "recorded_at", zero), _shared(events, way))]


def _fetch(count: int) -> list[Stop]:
    return [Stop("3", "fetch", f"nothing; {count} reads at Stripe")] if count else []


async def _count_mirror(database: Connection, since: datetime) -> dict[str, int]:
    counts = {}
    for table in MIRROR:
        query = f"SELECT count(*) FROM stripe.{table} WHERE at >= $1"  # noqa: S608 -- a constant of this module
        counts[table] = await database.fetchval(query, since)
    return {table: count for table, count in counts.items() if count}


def _mirror(counts: dict[str, int], events: Sequence[Any], zero: datetime, way: str | None) -> list[Stop]:
    done = [row for row in events if row["done_at"] is not None]
    if not counts or not done:
        return []
    wrote = ", ".join(f"stripe.{table} {count}" for table, count in counts.items())
    return [Stop("4", "mirror", wrote, _ms(done, "done_at", zero), _shared(done, way))]


def _derive(derived: Sequence[Any], zero: datetime) -> list[Stop]:
    if not derived:
        return []
    segments = _few([f"{row['segment']}" for row in derived])
    wrote = f"subscription.product_subscription {len(derived)}: segment {segments}"
    return [Stop("5", "derive", wrote, _ms(derived, "derived_at", zero))]


def _announce(entries: Sequence[Any], zero: datetime, way: str | None) -> list[Stop]:
    if not entries:
        return []
    return [
        Stop(
            "6",
            "announce",
            f"outbox.entry +{len(entries)}: {_few(sorted({row['topic'] for row in entries}))}",
            _ms(entries, "recorded_at", zero),
            _shared(entries, way),
        )
    ]


def _relay(entries: Sequence[Any], zero: datetime, way: str | None) -> list[Stop]:
    settled = [row for row in entries if row["settled_at"] is not None]
    if not settled:
        return []
    wrote = f"{len(settled)} settled; contact.delivery wanted"
    return [Stop("7", "relay", wrote, _ms(settled, "settled_at", zero), _shared(settled, way))]


def _deliver(answers: Sequence[Any], zero: datetime, way: str | None) -> list[Stop]:
    if not answers:
        return []
    requests = _few([f"{row['request']} {row['outcome']}" for row in answers])
    return [
        Stop(
            "8", "deliver", f"Acoustic: {requests}", _ms(answers, "recorded_at", zero), _shared(answers, way)
        )
    ]


def _ms(rows: Sequence[Any], column: str, zero: datetime) -> float:
    latest: datetime = max(row[column] for row in rows)
    return (latest - zero).total_seconds() * 1_000


def _traced(rows: Sequence[Any]) -> str | None:
    """Return the trace of the last row that has one: the way of what the step brought about."""
    return next((trace_id_of(row["traceparent"]) for row in reversed(rows) if row["traceparent"]), None)


def _shared(rows: Sequence[Any], way: str | None) -> str | None:
    """Return the step's trace if one of these rows has it too."""
    return way if any(trace_id_of(row["traceparent"]) == way for row in rows) else None


def _listed(words: Sequence[str]) -> str:
    return f": {_few(words)}" if words else ""


def _few(words: Sequence[str], most: int = 4) -> str:
    rest = len(words) - most
    return ", ".join(words[:most]) + (f" and {rest} more" if rest > 0 else "")
