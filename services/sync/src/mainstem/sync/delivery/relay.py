"""Relay (stop 7): claim what the outbox announces, and mark the contacts behind it for every platform."""

import time
from collections.abc import Callable, Sequence
from uuid import UUID

import structlog
from opentelemetry.trace import SpanKind

from mainstem.common.clock import Clock
from mainstem.common.database.pool import Connection, Transactions
from mainstem.common.queue import outbox
from mainstem.common.queue.lease import Lease
from mainstem.common.queue.outbox import ClaimedEntry
from mainstem.common.telemetry import spans
from mainstem.sync.delivery.marks import mark
from mainstem.sync.profiles import owners

CONSUMER = "sync"
LEASE_SECONDS = 30.0
LIMIT = 200
"""Entries at once: one transaction marks them all."""

log = structlog.get_logger()


class Relay:
    """Turns announcements into marks: a hundred changes of one contact are one delivery."""

    def __init__(
        self,
        database: Transactions,
        platforms: Sequence[str],
        clock: Clock,
        owner: str,
        on_marked: Callable[[], None],
    ) -> None:
        self._database = database
        self._platforms = platforms
        self._clock = clock
        self._owner = owner
        self._on_marked = on_marked

    async def work(self) -> int:
        """Claim entries once, mark and settle them in one commit; return how many there were."""
        lease, started_at = Lease(self._owner, LEASE_SECONDS), time.time_ns()
        async with self._database.transaction() as connection:
            entries = await outbox.claim(connection, CONSUMER, lease, self._clock.now(), LIMIT)
        if entries:
            causes = [one.traceparent for one in entries]
            with spans.span_for(
                "relay", causes, kind=SpanKind.CONSUMER, started_at=started_at, entries=len(entries)
            ):
                await self._relay(lease, entries)
            self._on_marked()
        return len(entries)

    async def _relay(self, lease: Lease, entries: Sequence[ClaimedEntry]) -> None:
        async with self._database.transaction() as connection:
            marked = await self._mark(connection, entries)
            await outbox.settle(connection, lease, [one.id for one in entries], self._clock.now())
        log.info("outbox.relayed", entries=len(entries), contacts=marked)

    async def _mark(self, connection: Connection, entries: Sequence[ClaimedEntry]) -> int:
        """Mark every contact behind the entries; return how many there are.

        Nothing is marked for an owner that is no contact yet. One that becomes it marks itself in its own
        commit, and is loaded after that; the rows that this entry announces were there before the entry.
        """
        contacts_of = await owners.find_owners(connection, {_owner(one) for one in entries})
        marks: dict[UUID, str | None] = {}
        for entry in entries:
            for contact_id in contacts_of.get(_owner(entry), ()):
                # Of several entries the oldest one's trace goes on.
                marks[contact_id] = marks.get(contact_id) or entry.traceparent
        await mark(connection, marks, self._platforms, self._clock.now())
        return len(marks)


def _owner(entry: ClaimedEntry) -> tuple[str, str]:
    kind, _, value = entry.key.partition(":")
    return kind, value
