"""Reading events of accounts with an API key: the event is a hint, the fetch is the truth (stop 3)."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from mainstem.common.database import Transactions
from mainstem.ingest.inbox import Event, Failure, Queue
from mainstem.ingest.providers.protocol import FetchError, PayloadError, Reader, RefusedError, Version
from mainstem.ingest.providers.stripe_events import read_signed
from mainstem.ingest.providers.stripe_rows import gone, snapshot
from mainstem.ingest.readings import Change, Reading, Revision, fetched_revision, signed_revision

AS_OF = "SELECT clock_timestamp()"
FETCH_SECONDS = 10
"""What one fetch may take, by the reader's promise."""

NOT_OURS = "the object is not there, for a key that does not answer for the event's livemode"

_Object = tuple[str, str, str]
_Signed = tuple[Event, Revision]


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
        self.queue = Queue(provider, sorted(epochs))
        self.limit = limit
        self._epochs = epochs
        self._readers = readers
        self._database = database
        self._permits = asyncio.Semaphore(concurrency)

    async def read(self, events: Sequence[Event]) -> tuple[list[Reading], list[Failure]]:
        """Return what the provider says of the events' objects, and which events came to nothing.

        An object counts as read when Postgres' clock stood where it stands before the first fetch: whatever
        changes later has an event of its own, which is claimed later.
        """
        as_of = await self._as_of()
        signed, failures = _signed(events)
        objects: dict[_Object, list[_Signed]] = defaultdict(list)
        for event, revision in signed:
            objects[event.account, event.object_type, event.object_id].append((event, revision))
        found = await asyncio.gather(*(self._read(one, of, as_of) for one, of in objects.items()))
        readings = [reading for some, _ in found for reading in some]
        return readings, [*failures, *(failure for _, some in found for failure in some)]

    async def _as_of(self) -> datetime:
        async with self._database.transaction() as connection:
            as_of: datetime = await connection.fetchval(AS_OF)
            return as_of

    async def _read(
        self, one: _Object, signed: Sequence[_Signed], as_of: datetime
    ) -> tuple[list[Reading], list[Failure]]:
        account, kind, object_id = one
        try:
            async with self._permits:
                body = await self._readers[account].fetch(kind, object_id)
            body = gone(kind, object_id) if body is None else body
            copy = snapshot(kind, body)
            own, others = self._answered(account, signed) if copy.is_deleted else (signed, [])
            change = Change(account, Version(self._epochs[account], as_of, 0, ""), copy)
            return self._readings(own, body, change), _failures(others, NOT_OURS, is_own=True)
        except FetchError as error:
            return [], _failures(signed, error.detail, is_own=False)
        except (RefusedError, PayloadError) as error:
            return [], _failures(signed, error.detail, is_own=True)

    def _answered(
        self, account: str, signed: Sequence[_Signed]
    ) -> tuple[Sequence[_Signed], Sequence[_Signed]]:
        """Part the events that the account's key answers for from those of the other side.

        A key of the test side knows nothing of live objects: its 404 says nothing of them.
        """
        livemode = self._readers[account].livemode
        own = [one for one in signed if livemode is not None and one[0].livemode == livemode]
        return own, [one for one in signed if one not in own]

    def _readings(self, signed: Sequence[_Signed], body: bytes, change: Change) -> list[Reading]:
        """Return one reading an event; the first carries what the fetch says, since it says it for all."""
        if not signed:
            return []
        valid_from = max(revision.valid_from for _, revision in signed)
        (first, revision), *others = signed
        fetched = fetched_revision(first, body, valid_from)
        return [
            Reading(first, (revision, fetched), change),
            *(Reading(event, (revision,), None) for event, revision in others),
        ]


def _signed(events: Sequence[Event]) -> tuple[list[_Signed], list[Failure]]:
    """Return what the events themselves say of the history, and which of them cannot be read."""
    signed, failures = [], []
    for event in events:
        try:
            one = read_signed(event.body)
            signed.append((event, signed_revision(event, one.body, one.created)))
        except PayloadError as error:
            failures.append(Failure(event, error.detail, is_own=True))
    return signed, failures


def _failures(signed: Sequence[_Signed], reason: str, *, is_own: bool) -> list[Failure]:
    return [Failure(event, reason, is_own=is_own) for event, _ in signed]
