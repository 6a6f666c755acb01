"""Source of readings for accounts without an API key: the payload is the truth (stop 3)."""

from collections.abc import Mapping, Sequence

from mainstem.common.queue.hints import HINT
from mainstem.ingest.accounts.storage import Mode
from mainstem.ingest.inbox.claims import ClaimedEvent, Failure
from mainstem.ingest.inbox.scheduling import Queue
from mainstem.ingest.pipeline.livemode import split_by_livemode
from mainstem.ingest.pipeline.reading import Reading, bare_revision, explain, signed_revision
from mainstem.ingest.providers.protocol import Cause, Change, Version
from mainstem.ingest.providers.stripe.bare_objects import bare_snapshot, is_bare
from mainstem.ingest.providers.stripe.events import RANK, kind_of, rank, read_signed, read_snapshot

BATCH = 200


class PayloadSource:
    """Reads events by what they carry; two of one second settle the same way every time, by rank and id."""

    limit = BATCH

    def __init__(self, provider: str, epochs: Mapping[str, int]) -> None:
        self.queue = Queue(provider, epochs.keys(), Mode.PAYLOAD)
        self._epochs = epochs

    def room(self, _account: str) -> int:
        """Return how many events of an account to claim: nothing but Postgres is waited for."""
        return self.limit

    def apart(self, events: Sequence[ClaimedEvent]) -> list[list[ClaimedEvent]]:
        """Return the events that go together: all of them, by one commit."""
        return [list(events)]

    async def read(self, events: Sequence[ClaimedEvent]) -> tuple[list[Reading], list[Failure]]:
        """Return what the events say, and which of them cannot be read."""
        readings = []
        ours, failures = split_by_livemode(events, lambda event: event.account_livemode)
        for event in ours:
            try:
                readings.append(self._read(event))
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is in no other event's way
                failures.append(Failure(event, explain(error), is_own=True))
        return readings, failures

    def _read(self, event: ClaimedEvent) -> Reading:
        if event.type == HINT:
            # It says that something may have changed, and nobody can be asked what.
            return Reading(event, (), None)
        return self._read_bare(event) if is_bare(event.type) else self._read_signed(event)

    def _epoch(self, event: ClaimedEvent) -> int:
        return self._epochs.get(event.account, event.epoch)

    def _read_bare(self, event: ClaimedEvent) -> Reading:
        """Read an object that came alone: its time is that of its recording, its key its turn."""
        snapshot = bare_snapshot(event.body)
        # Padded to the longest number there is, so that text compares as numbers do.
        version = Version(self._epoch(event), event.recorded_at, RANK, f"{event.id:019d}")
        revision = bare_revision(event, snapshot)
        return Reading(event, (revision,), Change(event.account, version, snapshot, Cause.BARE))

    def _read_signed(self, event: ClaimedEvent) -> Reading:
        kind_of(event.type)  # a thin event fails here, by a reason that helps
        signed = read_signed(event.body)
        version = Version(self._epoch(event), signed.created, rank(event.type), event.event_id)
        change = Change(event.account, version, read_snapshot(event.type, signed.body), Cause.EVENT)
        return Reading(event, (signed_revision(event, signed.body, signed.created),), change)
