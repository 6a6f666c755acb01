"""Stops 3 to 6 over claimed batches: read the events, write them in one commit, or find the culprit."""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import asyncpg
import structlog
from opentelemetry.trace import SpanKind

from mainstem.common import telemetry
from mainstem.common.clock import Clock
from mainstem.common.database import DATABASE_ERRORS, Connection, Transactions
from mainstem.common.faults import is_away, is_data_error
from mainstem.common.lease import Lease, LeaseLostError
from mainstem.ingest import inbox
from mainstem.ingest.commit import Commit, MovedError
from mainstem.ingest.inbox import Event, Failure, Queue
from mainstem.ingest.readings import Reading, explain

LEASE_SECONDS = 60.0
SUSPECT_SECONDS = 1.0
BUSY_SUSPECT_SECONDS = 30.0
"""How often to look for an event that may end workers; while there is a backlog, that reads all of it."""
ATTEMPTS = 4
"""How often a transaction is begun that Postgres ended for the sake of another one."""

CONTENDED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, MovedError)
OUTSIDE = DATABASE_ERRORS

log = structlog.get_logger()
_meter = telemetry.meter()
processed = _meter.create_counter("mainstem_events_processed", description="Events that are done.")
failed = _meter.create_counter(
    "mainstem_events_failed", description="Attempts at events that came to nothing."
)
died = _meter.create_counter("mainstem_events_died", description="Events laid aside as dead letters.")
told = _meter.create_counter("mainstem_outbox_entries_written", description="Entries written for consumers.")
lost = _meter.create_counter("mainstem_ingest_leases_lost", description="Batches that outlived their lease.")


class Source(Protocol):
    """Reads the events of some accounts, in the one mode that these have."""

    queue: Queue
    limit: int

    async def read(self, events: Sequence[Event]) -> tuple[list[Reading], list[Failure]]:
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
    ) -> None:
        self._source = source
        self._commit = commit
        self._database = database
        self._clock = clock
        self._terms = terms
        self._wake_sync = wake_sync
        self._suspected_at = -BUSY_SUSPECT_SECONDS

    async def work(self) -> int:
        """Claim a batch and work it off, then one event that may be what ends workers; return how many."""
        claimed = await self._batch(self._claim)
        seconds = SUSPECT_SECONDS if claimed < self._source.limit else BUSY_SUSPECT_SECONDS
        if time.monotonic() >= self._suspected_at + seconds:
            self._suspected_at = time.monotonic()
            claimed += await self._batch(self._claim_suspect)
        return claimed

    async def _claim(self, connection: Connection, lease: Lease) -> list[Event]:
        return await inbox.claim(connection, lease, self._source.queue, self._clock.now(), self._source.limit)

    async def _claim_suspect(self, connection: Connection, lease: Lease) -> list[Event]:
        return await inbox.claim_suspect(connection, lease, self._source.queue, self._clock.now())

    async def _batch(self, claim: Callable[[Connection, Lease], Awaitable[list[Event]]]) -> int:
        lease, started_at = Lease(self._terms.owner, self._terms.lease_seconds), time.time_ns()
        async with self._database.transaction() as connection:
            events = await claim(connection, lease)
        if events:
            causes = [event.traceparent for event in events]
            with telemetry.span_for(
                "process", causes, kind=SpanKind.CONSUMER, started_at=started_at, events=len(events)
            ):
                await self._work_off(lease, events)
        return len(events)

    async def _work_off(self, lease: Lease, events: Sequence[Event]) -> None:
        try:
            readings, failures = await self._source.read(events)
            failures += await self._write(lease, readings)
            await self._fail(lease, failures)
        except LeaseLostError:
            # Somebody else has them by now, and does them.
            lost.add(1)
            log.warning("lease.lost", events=len(events))
        except OUTSIDE:
            await self._give_back(lease, events)
            raise

    async def _write(self, lease: Lease, readings: Sequence[Reading]) -> list[Failure]:
        """Write everything in one commit; if that cannot be, object by object. Return what could not."""
        if not readings:
            return []
        try:
            await self._write_once(lease, readings)
        except LeaseLostError:
            raise
        except CONTENDED as error:
            return _failures(readings, error, is_own=False)
        except Exception as error:
            if is_away(error):
                raise
            objects = _by_object(readings)
            if len(objects) == 1:
                return _failures(readings, error, is_own=_is_own(error))
            return [failure for one in objects for failure in await self._write(lease, one)]
        return []

    async def _write_once(self, lease: Lease, readings: Sequence[Reading]) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                entries = await self._commit_once(lease, readings)
                break
            except CONTENDED as error:
                log.info("batch.contended", error=type(error).__name__, attempt=attempt)
                if attempt == ATTEMPTS:
                    raise
        processed.add(len(readings))
        if entries:
            told.add(entries)
            self._wake_sync()

    async def _commit_once(self, lease: Lease, readings: Sequence[Reading]) -> int:
        with telemetry.span("commit", events=len(readings)):
            async with self._database.transaction() as connection:
                return await self._commit.write(connection, lease, readings, self._clock.now())

    async def _fail(self, lease: Lease, failures: Sequence[Failure]) -> None:
        if not failures:
            return
        limit = self._terms.failures_to_dead
        async with self._database.transaction() as connection:
            dead = await inbox.fail(connection, lease, failures, self._clock.now(), limit)
        failed.add(len(failures))
        died.add(dead)
        for one in failures:
            # In the event's own trace, of which the batch may be no part.
            with telemetry.span("fail", parent=one.event.traceparent, event_id=one.event.event_id):
                telemetry.mark_failed()
                log.warning("event.failed", event_id=one.event.event_id, reason=one.reason, is_own=one.is_own)

    async def _give_back(self, lease: Lease, events: Sequence[Event]) -> None:
        try:
            async with self._database.transaction() as connection:
                await inbox.give_back(connection, lease, events)
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
