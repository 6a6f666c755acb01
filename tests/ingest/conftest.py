"""Ingest on a real database: events are recorded, worked off, and what became of them is read back."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from servers import Database

from mainstem.common.database import Pool, Transactions, open_pool
from mainstem.common.inbox import NewEvent, insert
from mainstem.ingest.commit import Commit
from mainstem.ingest.owners import Owners, rule
from mainstem.ingest.payloads import PayloadSource
from mainstem.ingest.pipeline import Pipeline, Source, Terms
from mainstem.ingest.providers.stripe_events import read_envelope

MIRROR = (
    "customer",
    "product",
    "price",
    "subscription",
    "subscription_item",
    "invoice",
    "invoice_line",
)
VERSION = ("epoch", "at", "rank", "key")


@dataclass
class HandClock:
    """World time that stands still until it is moved."""

    time: datetime = datetime(2024, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def move(self, **by: float) -> None:
        self.time += timedelta(**by)


def new_event(body: bytes, *, account: str = "default", traceparent: str | None = None) -> NewEvent:
    """Return an event as the door records it."""
    envelope = read_envelope(body)
    return NewEvent(
        provider="stripe",
        account=account,
        event_id=envelope.event_id,
        type=envelope.type,
        object_type=envelope.object_type,
        object_id=envelope.object_id,
        created=envelope.created,
        api_version=envelope.api_version,
        livemode=envelope.livemode,
        body=body,
        traceparent=traceparent,
        status="received" if envelope.is_known else "ignored",
    )


@dataclass
class Ingest:
    """Ingest without its door."""

    pool: Pool
    owner: Pool
    """Connections that may read everything."""
    clock: HandClock = field(default_factory=HandClock)
    woken: list[str] = field(default_factory=list)

    async def record(self, *bodies: bytes, account: str = "default", traceparent: str | None = None) -> None:
        async with self.pool.transaction() as connection:
            events = [new_event(body, account=account, traceparent=traceparent) for body in bodies]
            await insert(connection, events, self.clock.now())

    def pipeline(
        self,
        source: Source | None = None,
        *,
        database: Transactions | None = None,
        link: str = "customer.description:fxa_id",
        owner: str = "worker-1",
        lease_seconds: float = 60.0,
        failures_to_dead: int = 3,
    ) -> Pipeline:
        """Return a worker's pipeline; payload mode unless it is told otherwise."""
        return Pipeline(
            source or PayloadSource("stripe", {"default": 0, "other": 0}),
            Commit("stripe", Owners("stripe", rule(link))),
            database=database or self.pool,
            clock=self.clock,
            terms=Terms(owner, failures_to_dead, lease_seconds),
            wake_sync=lambda: self.woken.append("sync"),
        )

    async def take(self, *bodies: bytes, account: str = "default") -> None:
        """Record the events and work everything off that is due."""
        await self.record(*bodies, account=account)
        await self.work_off()

    async def work_off(self) -> None:
        pipeline = self.pipeline()
        while await pipeline.work():
            pass

    async def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        async with self.owner.transaction() as connection:
            return [dict(row) for row in await connection.fetch(query, *values)]

    async def table(self, name: str, *, without: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return a table of the mirror by id, less some columns."""
        rows = await self.rows(f"SELECT * FROM stripe.{name} ORDER BY account, id")
        return [{key: value for key, value in row.items() if key not in without} for row in rows]

    async def mirror(self) -> Mapping[str, list[dict[str, Any]]]:
        """Return the whole mirror, without the versions."""
        return {name: await self.table(name, without=VERSION) for name in MIRROR}

    async def products(self) -> list[dict[str, Any]]:
        rows = await self.rows(
            "SELECT * FROM subscription.product_subscription"
            " ORDER BY owner_kind, owner_value, account, product_id"
        )
        return [{key: value for key, value in row.items() if key != "derived_at"} for row in rows]

    async def segments(self) -> dict[tuple[str, str], str]:
        """Return the segment of each owner's products."""
        return {(row["owner_value"], row["product_id"]): row["segment"] for row in await self.products()}

    async def announced(self) -> list[str]:
        rows = await self.rows("SELECT key FROM outbox.entry ORDER BY id")
        return [row["key"] for row in rows]

    async def statuses(self) -> dict[str, str]:
        rows = await self.rows("SELECT event_id, status FROM inbox.event")
        return {row["event_id"]: row["status"] for row in rows}


@asynccontextmanager
async def open_ingest(database: Database) -> AsyncIterator[Ingest]:
    async with (
        open_pool(database.urls["ingest"], name="ingest-test") as pool,
        open_pool(database.url, name="owner-test", size=2) as owner,
    ):
        yield Ingest(pool, owner)


@pytest.fixture
async def ingest(database: Database) -> AsyncIterator[Ingest]:
    """Ingest, on a database of its own, under the login that it has in production."""
    async with open_ingest(database) as ingest:
        yield ingest


async def empty(ingest: Ingest) -> None:
    """Forget everything, for the next example of a property."""
    tables = ", ".join([*(f"stripe.{name}" for name in (*MIRROR, "revision")), "inbox.event", "outbox.entry"])
    async with ingest.owner.transaction() as connection:
        await connection.execute(f"TRUNCATE {tables}, subscription.owner, subscription.product_subscription")


__all__ = ["HandClock", "Ingest", "asyncpg", "empty", "ingest", "new_event", "open_ingest"]
