"""Run of the pipeline over claimed batches: read, commit, and halve a batch that fails (stops 3 to 6)."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import asyncpg
import structlog
from opentelemetry.trace import SpanKind

from mainstem.common.clock import Clock
from mainstem.common.database.faults import is_away, is_data_error
from mainstem.common.database.pool import DATABASE_ERRORS, Transactions
from mainstem.common.queue.lease import Lease, LeaseLostError
from mainstem.common.telemetry import metrics, spans
from mainstem.ingest.inbox import claims
from mainstem.ingest.inbox.claims import ClaimedEvent, Failure
from mainstem.ingest.inbox.scheduling import Queue
from mainstem.ingest.pipeline.commit import Commit, Written
from mainstem.ingest.pipeline.locks import MovedError
from mainstem.ingest.pipeline.reading import Reading, explain
from mainstem.ingest.subscriptions.storage import RulesUnusableError

LEASE_SECONDS = 60.0
SUSPECT_SECONDS = 1.0
BUSY_SUSPECT_SECONDS = 30.0
"""Interval of the search for an event that may end workers; in a backlog, each search reads all of it."""
AHEAD = 10
"""Maximum number of batches under way at once, where a slow account does not hold up the others."""
ATTEMPTS = 4
"""Maximum number of attempts at a transaction that Postgres ends in favour of another."""

CONTENDED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, MovedError)
OUTSIDE = (*DATABASE_ERRORS, RulesUnusableError)
"""Errors that are no event's fault: events are given back and wait."""

log = structlog.get_logger()
_meter = metrics.meter()
events_processed = _meter.create_counter("mainstem_events_processed", description="Events that are done.")
events_failed = _meter.create_counter(
    "mainstem_events_failed", description="Attempts at events that came to nothing."
)
dead_letters = _meter.create_counter("mainstem_events_died", description="Events laid aside as dead letters.")
entries_written = _meter.create_counter(
    "mainstem_outbox_entries_written", description="Entries written for consumers."
)
tombstones = _meter.create_counter(
    "mainstem_tombstones",
    description="Objects that the mirror buried, by kind and cause: deleted, missing, event, bare.",
)
leases_lost = _meter.create_counter(
    "mainstem_ingest_leases_lost", description="Batches that outlived their lease."
)


class Source(Protocol):
    """Reads the events of some accounts, in the one mode that these have."""

    queue: Queue
    limit: int

    def room(self, account: str) -> int:
        """Return how many events of an account to claim now; a call may be the only trial for a while."""
        ...

    def apart(self, events: Sequence[ClaimedEvent]) -> list[list[ClaimedEvent]]:
        """Return the events that are read and settled together, those apart that may be slow."""
        ...

    async def read(self, events: Sequence[ClaimedEvent]) -> tuple[list[Reading], list[Failure]]:
        """Return what the events say, and which of them cannot be read."""
        ...


@dataclass(frozen=True)
class Terms:
    """On which terms events are worked off: who claims, for how long, and when an event is laid aside."""

    owner: str
    failures_to_dead: int
    lease_seconds: float = LEASE_SECONDS


class Pipeline:
    """Works off the events of one source."""

    def __init__(
        self,
        source: Source,
        commit: Commit,
        *,
        database: Transactions,
        clock: Clock,
        terms: Terms,
        wake_sync: Callable[[], None],
        on_free: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._commit = commit
        self._database = database
        self._clock = clock
        self._terms = terms
        self._wake_sync = wake_sync
        self._on_free = on_free
        self._suspected_at = -BUSY_SUSPECT_SECONDS
        self._running: dict[asyncio.Task[None], Sequence[ClaimedEvent]] = {}
        self._busy: set[str] = set()
        self._error: BaseException | None = None

    @property
    def limit(self) -> int:
        """Maximum number of events in a batch."""
        return self._source.limit

    async def work(self) -> int:
        """Claim a batch and work it off, then one event that may be what ends workers; return how many."""
        claimed = await self._start()
        await self.finish()
        return claimed + await self._suspect()

    async def start(self) -> int:
        """Do as `work` does, but return before the batch is done: a slow account keeps no other one waiting.

        An account is not claimed again until its part of a batch is done; then `on_free` is called. An error
        of a batch is raised by a later call.
        """
        return await self._start() + await self._suspect()

    async def finish(self, seconds: float | None = None) -> None:
        """Wait for what is under way, at most so long; the rest is cancelled, and given back."""
        tasks = set(self._running)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._raise_error()

    async def _start(self) -> int:
        while sum(map(len, self._running.values())) >= AHEAD * self._source.limit:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        self._raise_error()
        lease, started_at = Lease(self._terms.owner, self._terms.lease_seconds), time.time_ns()
        async with self._database.transaction() as connection:
            queue, limit = self._source.queue, self._source.limit
            events = await claims.claim(connection, lease, queue, self._clock.now(), limit, room=self._room)
        for part in self._source.apart(events) if events else ():
            task = asyncio.create_task(self._work_off(lease, part, started_at))
            self._running[task] = part
            self._busy |= {event.account for event in part}
            task.add_done_callback(self._ended)
        return len(events)

    def _room(self, account: str) -> int:
        return 0 if account in self._busy else self._source.room(account)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._busy -= {event.account for event in self._running.pop(task)}
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = error
        self._on_free()

    def _raise_error(self) -> None:
        """Raise what the latest batch that failed raised, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    async def _suspect(self) -> int:
        """Work off one event that may be what ends workers, with nothing else under way."""
        seconds = BUSY_SUSPECT_SECONDS if self._source.queue.is_long else SUSPECT_SECONDS
        if time.monotonic() < self._suspected_at + seconds:
            return 0
        self._suspected_at = time.monotonic()
        lease, started_at = Lease(self._terms.owner, self._terms.lease_seconds), time.time_ns()
        async with self._database.transaction() as connection:
            queue, now = self._source.queue, self._clock.now()
            events = await claims.claim_suspect(connection, lease, queue, now, room=self._room)
        if events:
            await self.finish()
            await self._work_off(lease, events, started_at)
        return len(events)

    async def _work_off(self, lease: Lease, events: Sequence[ClaimedEvent], started_at: int) -> None:
        causes = [event.traceparent for event in events]
        with spans.span_for(
            "process", causes, kind=SpanKind.CONSUMER, started_at=started_at, events=len(events)
        ):
            await self._settle(lease, events)

    async def _settle(self, lease: Lease, events: Sequence[ClaimedEvent]) -> None:
        try:
            readings, failures = await self._source.read(events)
            failures += await self._write(lease, readings)
            await self._fail(lease, failures)
        except LeaseLostError:
            # Somebody else has them by now, and does them.
            leases_lost.add(1)
            log.warning("lease.lost", events=len(events))
        except (*OUTSIDE, asyncio.CancelledError):
            await self._give_back(lease, events)
            raise

    async def _write(self, lease: Lease, readings: Sequence[Reading]) -> list[Failure]:
        """Write everything in one commit; if that cannot be, its halves, and theirs. Return what failed."""
        if not readings:
            return []
        try:
            await self._write_once(lease, readings)
        except LeaseLostError:
            raise
        except CONTENDED as error:
            return _failures(readings, error, is_own=False)
        except Exception as error:
            if is_away(error) or isinstance(error, RulesUnusableError):
                raise
            objects = _by_object(readings)
            if len(objects) == 1:
                return _failures(readings, error, is_own=_is_own(error))
            half = len(objects) // 2
            halves = [chain.from_iterable(objects[:half]), chain.from_iterable(objects[half:])]
            return [failure for one in halves for failure in await self._write(lease, list(one))]
        return []

    async def _write_once(self, lease: Lease, readings: Sequence[Reading]) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                written = await self._commit_once(lease, readings)
                break
            except CONTENDED as error:
                log.info("batch.contended", error=type(error).__name__, attempt=attempt)
                if attempt == ATTEMPTS:
                    raise
        events_processed.add(len(readings))
        for one in written.buried:
            tombstones.add(1, {"kind": one.snapshot.table, "cause": one.cause})
        if written.entries:
            entries_written.add(written.entries)
            self._wake_sync()

    async def _commit_once(self, lease: Lease, readings: Sequence[Reading]) -> Written:
        with spans.span("commit", events=len(readings)):
            async with self._database.transaction() as connection:
                return await self._commit.write(connection, lease, readings, self._clock.now())

    async def _fail(self, lease: Lease, failures: Sequence[Failure]) -> None:
        if not failures:
            return
        limit = self._terms.failures_to_dead
        async with self._database.transaction() as connection:
            dead = await claims.fail(connection, lease, failures, self._clock.now(), limit)
        events_failed.add(len(failures))
        dead_letters.add(dead)
        for one in failures:
            # In the event's own trace, of which the batch may be no part.
            with spans.span("fail", parent=one.event.traceparent, event_id=one.event.event_id):
                spans.mark_failed()
                log.warning("event.failed", event_id=one.event.event_id, reason=one.reason, is_own=one.is_own)

    async def _give_back(self, lease: Lease, events: Sequence[ClaimedEvent]) -> None:
        try:
            async with self._database.transaction() as connection:
                await claims.give_back(connection, lease, events)
        except OUTSIDE as error:
            log.warning("lease.give_back_failed", error=type(error).__name__, events=len(events))


def _is_own(error: Exception) -> bool:
    """Whether an error is the events' own fault, not the database's or the network's.

    An error of ours counts as the event's too: nothing else keeps it from being in the way for ever.
    """
    return is_data_error(error) or not isinstance(error, OUTSIDE)


def _by_object(readings: Sequence[Reading]) -> list[list[Reading]]:
    objects: dict[tuple[str, str], list[Reading]] = defaultdict(list)
    for reading in readings:
        objects[reading.event.account, reading.event.object_id].append(reading)
    return list(objects.values())


def _failures(readings: Sequence[Reading], error: Exception, *, is_own: bool) -> list[Failure]:
    return [Failure(reading.event, explain(error), is_own=is_own) for reading in readings]
