"""Source of readings for accounts with an API key: the event is a hint, the fetch is the truth (stop 3)."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

import structlog

from mainstem.common.database.pool import Transactions
from mainstem.common.queue.hints import HINT
from mainstem.common.telemetry import metrics, spans
from mainstem.ingest.accounts.identities import Identities
from mainstem.ingest.accounts.storage import Mode
from mainstem.ingest.inbox.claims import ClaimedEvent, Failure
from mainstem.ingest.inbox.scheduling import Queue
from mainstem.ingest.pipeline.bulkheads import Bulkhead, Bulkheads
from mainstem.ingest.pipeline.livemode import split_by_livemode
from mainstem.ingest.pipeline.reading import Reading, explain, fetched_revision, signed_revision
from mainstem.ingest.providers.protocol import (
    Cause,
    Change,
    FetchError,
    Reader,
    RefusedError,
    Revision,
    Version,
)
from mainstem.ingest.providers.stripe.bare_objects import is_bare
from mainstem.ingest.providers.stripe.events import check_workable, demand_kind, read_signed
from mainstem.ingest.providers.stripe.rows import gone, snapshot
from mainstem.ingest.providers.stripe.thin_events import is_thin

AS_OF = "SELECT clock_timestamp()"
FETCH_SECONDS = 10
"""Longest duration of one fetch; the reader enforces it."""

NOT_ASKED = "not fetched: the account's fetches before it failed"
NOT_OURS = "the object is not there, for a key that does not answer for the event's livemode"
VANISHED = "Stripe does not show the subscription, which it keeps for ever; nothing is concluded from that"

KEPT = frozenset({"subscription"})
"""Kinds that Stripe never deletes: absence is a failure. https://docs.stripe.com/api/subscriptions/cancel"""

log = structlog.get_logger()
vanished = metrics.meter().create_counter(
    "mainstem_subscriptions_vanished",
    description="Fetches in which Stripe did not show a subscription, which it keeps for ever.",
)

_Object = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Hint:
    """Pointer to an object: the time from which its state is valid, and the event's own revisions, if any."""

    event: ClaimedEvent
    valid_from: datetime
    revisions: tuple[Revision, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """Readings of one object's events, and the events that failed.

    `is_absent` says that the provider has no such object: nothing but the proof of its account makes it so.
    """

    account: str
    readings: Sequence[Reading] = ()
    failures: Sequence[Failure] = ()
    is_absent: bool = False


def batch_size(concurrency: int, lease_seconds: float) -> int:
    """Return how many fetches fit half a lease, if each takes as long as it may."""
    return max(1, int(concurrency * lease_seconds / 2 / FETCH_SECONDS))


class FetchSource:
    """Fetches what events point at, once for all events of one object."""

    def __init__(
        self,
        provider: str,
        epochs: Mapping[str, int],
        readers: Mapping[str, Reader],
        *,
        database: Transactions,
        concurrency: int,
        limit: int,
    ) -> None:
        self.queue = Queue(provider, epochs.keys(), Mode.FETCH)
        self.limit = limit
        self._epochs = epochs
        self._readers = readers
        self._database = database
        self._bulkheads = Bulkheads(provider, concurrency)
        self.identities = Identities(provider, readers, database)

    def room(self, account: str) -> int:
        """Return how many events of an account to claim: few or none, while the account does not answer."""
        return self._bulkheads.room(account, self.limit)

    def apart(self, events: Sequence[ClaimedEvent]) -> list[list[ClaimedEvent]]:
        """Return the events that go together: each account's, since any may be slow."""
        accounts: dict[str, list[ClaimedEvent]] = defaultdict(list)
        for event in events:
            accounts[event.account].append(event)
        return list(accounts.values())

    async def read(self, events: Sequence[ClaimedEvent]) -> tuple[list[Reading], list[Failure]]:
        """Return what the provider says of the events' objects, and which events came to nothing.

        An object counts as read when Postgres' clock stood where it stands before the first fetch: whatever
        changes later has an event of its own, which is claimed later.
        """
        as_of = await self._as_of()
        ours, failures = split_by_livemode(events, self._livemode)
        hints, unreadable = _hints(ours)
        objects: dict[_Object, list[_Hint]] = defaultdict(list)
        for hint in hints:
            event = hint.event
            objects[event.account, event.object_type, event.object_id].append(hint)
        with ExitStack() as bulkheads:
            for account in {event.account for event in ours}:
                bulkheads.enter_context(self._bulkheads.of(account))
            found = await asyncio.gather(*(self._read(one, of, as_of) for one, of in objects.items()))
            doubts = await self._doubts(one for one in found if one.is_absent)
        proven = [self._proven(one, doubts) for one in found]
        readings = [reading for one in proven for reading in one.readings]
        return readings, [*failures, *unreadable, *(failure for one in proven for failure in one.failures)]

    async def _doubts(self, absent: Iterable[_Found]) -> Mapping[str, str]:
        """Return why what accounts say of absent objects proves nothing, by account, where it does not.

        The accounts are read after the absences, and once for all of a batch.
        """
        readers = {one.account: self._reader(one.readings[0].event) for one in absent}
        doubts = {}
        for account in sorted(readers):
            try:
                await self.identities.prove(account, readers[account])
            except FetchError as error:
                doubts[account] = explain(error)
        return doubts

    def _proven(self, found: _Found, doubts: Mapping[str, str]) -> _Found:
        """Return what was found with its readings as failures, where the account proves nothing."""
        reason = self._stopped(found)
        if reason is None and found.is_absent:
            reason = doubts.get(found.account) or self._vanished(found)
        if reason is None:
            return found
        doubtful = [Failure(one.event, reason, is_own=False) for one in found.readings]
        return _Found(found.account, (), [*found.failures, *doubtful])

    def _stopped(self, found: _Found) -> str | None:
        """Return the problem that stops the account or its parent, as last read."""
        parents = {one.event.parent for one in found.readings}
        problems = (self.identities.stopped.get(one) for one in (found.account, *parents) if one is not None)
        return next(filter(None, problems), None)

    def _vanished(self, found: _Found) -> str | None:
        """Alarm, and return the reason, if the absent object is of a kind that the provider keeps."""
        event = next((one.event for one in found.readings), None)
        if event is None or event.object_type not in KEPT:
            return None
        vanished.add(1)
        log.error(
            "subscription.vanished",
            account=event.account,
            object_id=event.object_id,
            events=len(found.readings),
        )
        return VANISHED

    def _reader(self, event: ClaimedEvent) -> Reader:
        """Return the reader of an event's account; a connected one is read with its parent's key."""
        reader = self._readers.get(event.account)
        return self._readers[event.parent or ""].connected(event.account) if reader is None else reader

    def _livemode(self, event: ClaimedEvent) -> bool | None:
        """Return the side of an event's account: its key's, else the recorded one."""
        livemode = self._reader(event).livemode
        return event.account_livemode if livemode is None else livemode

    def _epoch(self, event: ClaimedEvent) -> int:
        return self._epochs.get(event.account, event.epoch)

    async def _as_of(self) -> datetime:
        async with self._database.transaction() as connection:
            as_of: datetime = await connection.fetchval(AS_OF)
            return as_of

    async def _read(self, one: _Object, hints: Sequence[_Hint], as_of: datetime) -> _Found:
        account, kind, object_id = one
        try:
            found = await self._fetch(one, hints)
            body = gone(kind, object_id) if found is None else found
            copy, cause = snapshot(kind, body), Cause.DELETED if found is not None else Cause.MISSING
            own = self._answered(hints, is_known=found is not None) if copy.is_deleted else hints
            others = [one for one in hints if one not in own]
            change = Change(account, Version(self._epoch(hints[0].event), as_of, 0, ""), copy, cause)
            is_absent = found is None or (copy.is_deleted and kind in KEPT)
            readings = self._readings(own, body, change)
            failures = _failures(others, NOT_OURS, is_own=True)
            return _Found(account, readings, failures, is_absent and bool(readings))
        except (FetchError, OSError) as error:
            return _Found(account, failures=_failures(hints, explain(error), is_own=False))
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is in no other object's way
            return _Found(account, failures=_failures(hints, explain(error), is_own=True))

    async def _fetch(self, one: _Object, hints: Sequence[_Hint]) -> bytes | None:
        account, kind, object_id = one
        causes = [hint.event.traceparent for hint in hints]
        with (
            spans.span_for("fetch", causes, object_type=kind, object_id=object_id, events=len(hints)),
            self._bulkheads.of(account) as bulkhead,
        ):
            return await self._ask(bulkhead, self._reader(hints[0].event), kind, object_id)

    async def _ask(self, bulkhead: Bulkhead, reader: Reader, kind: str, object_id: str) -> bytes | None:
        """Fetch under a permit of the account's, and count the answer: any answer about an object is one.

        Raises:
            FetchError: also when the account stopped answering while this waited.
        """
        async with bulkhead.permits:
            if bulkhead.is_closed:
                raise FetchError(NOT_ASKED)
            try:
                found = await reader.fetch(kind, object_id)
            except (FetchError, OSError):
                bulkhead.breaker.record(ok=False)
                raise
            except RefusedError:
                bulkhead.breaker.record(ok=True)
                raise
            bulkhead.breaker.record(ok=True)
            return found

    def _answered(self, hints: Sequence[_Hint], *, is_known: bool) -> Sequence[_Hint]:
        """Return the events that the account's key answers for.

        A key of the test side knows nothing of live objects: its 404 says nothing of them. A bare object
        may not say which side it is of; then only an object that Stripe knows as deleted is gone.
        """
        livemode = self._reader(hints[0].event).livemode
        livemodes = {livemode, None} if is_known else {livemode}
        return [one for one in hints if livemode is not None and one.event.livemode in livemodes]

    def _readings(self, hints: Sequence[_Hint], body: bytes, change: Change) -> list[Reading]:
        """Return one reading an event; the first carries what the fetch says, since it says it for all."""
        if not hints:
            return []
        first, *others = hints
        fetched = fetched_revision(first.event, body, max(one.valid_from for one in hints))
        return [
            Reading(first.event, (*first.revisions, fetched), change),
            *(Reading(one.event, one.revisions, None) for one in others),
        ]


def _hints(events: Sequence[ClaimedEvent]) -> tuple[list[_Hint], list[Failure]]:
    """Return what the events themselves say of the history, and which of them cannot be read."""
    hints, failures = [], []
    for event in events:
        try:
            hints.append(_hint(event))
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is in no other event's way
            failures.append(Failure(event, explain(error), is_own=True))
    return hints, failures


def _hint(event: ClaimedEvent) -> _Hint:
    """Return where an event points; a bare object, a thin event and a hint of our own do no more than that.

    Raises:
        PayloadError: the event cannot be read, or events of its type are not worked on.
    """
    if is_bare(event.type) or event.type == HINT:
        return _Hint(event, event.recorded_at)
    check_workable(event.type, event.object_type, event.object_id)
    if is_thin(event.type):
        return _Hint(event, event.recorded_at)
    signed = read_signed(event.body)
    demand_kind(event.type, signed.body)
    return _Hint(event, signed.created, (signed_revision(event, signed.body, signed.created),))


def _failures(hints: Sequence[_Hint], reason: str, *, is_own: bool) -> list[Failure]:
    return [Failure(one.event, reason, is_own=is_own) for one in hints]
