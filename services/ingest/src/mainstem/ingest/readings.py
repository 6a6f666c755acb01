"""What stop 3 hands to stops 4 to 6: an event, and what it says of its object."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from mainstem.ingest.inbox import Event
from mainstem.ingest.providers.protocol import FetchError, PayloadError, RefusedError, Snapshot, Version
from mainstem.ingest.providers.stripe_events import canonical


class Cause(StrEnum):
    """Reason for which an object counts as deleted, if it does."""

    DELETED = "deleted"
    """The provider shows it as deleted."""
    MISSING = "missing"
    """The provider says that the account has no such object."""
    EVENT = "event"
    """A signed event says so."""
    BARE = "bare"
    """An object that came without an event says so."""


LONGEST_REASON = 300
EMBEDDED_RANK = -1
"""A copy inside another object is older than the object's own events of that second."""


@dataclass(frozen=True, slots=True)
class Change:
    """A copy of an object for the mirror, to be written if it is newer than the one there."""

    account: str
    version: Version
    snapshot: Snapshot
    cause: Cause = Cause.DELETED

    @property
    def identity(self) -> tuple[str, str, str]:
        """Which object it is a copy of."""
        return (self.snapshot.table, self.account, self.snapshot.id)

    def embedded(self) -> Iterable["Change"]:
        """Yield the copies of other objects that came inside."""
        version = self.version._replace(rank=EMBEDDED_RANK)
        for snapshot in self.snapshot.embedded:
            yield Change(self.account, version, snapshot)


@dataclass(frozen=True, slots=True)
class Revision:
    """One version of an object for the history; the bytes are those of the event, or else `body`."""

    account: str
    object_type: str
    object_id: str
    valid_from: datetime
    content_hash: bytes
    event: int | None
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Reading:
    """An event that was read: what it adds to the history, and what it changes of the mirror, if it does."""

    event: Event
    revisions: tuple[Revision, ...]
    change: Change | None


def signed_revision(event: Event, body: bytes, created: datetime) -> Revision:
    """Return the revision that an event's payload is; its bytes stay in the inbox.

    Raises:
        PayloadError: the payload is not JSON.
    """
    return Revision(
        event.account, event.object_type, event.object_id, created, _content_hash(body), event.id, None
    )


def bare_revision(event: Event, snapshot: Snapshot) -> Revision:
    """Return the revision that a bare object is, from its recording on; its bytes stay in the inbox.

    Raises:
        PayloadError: the body is not JSON.
    """
    content_hash = _content_hash(event.body)
    return Revision(
        event.account, snapshot.table, snapshot.id, event.recorded_at, content_hash, event.id, None
    )


def fetched_revision(event: Event, body: bytes, valid_from: datetime) -> Revision:
    """Return the revision that a fetch of an event's object is.

    Raises:
        PayloadError: the answer is not JSON.
    """
    return Revision(
        event.account, event.object_type, event.object_id, valid_from, _content_hash(body), None, body
    )


def _content_hash(body: bytes) -> bytes:
    return sha256(canonical(body)).digest()


def explain(error: Exception) -> str:
    """Return why an event came to nothing; what is not ours is only named: it may quote a value.

    The text can be stored whatever the event holds: reasons of several events are stored at once.
    """
    if isinstance(error, PayloadError | FetchError | RefusedError):
        text = error.detail[:LONGEST_REASON]
        return "".join(letter if letter.isprintable() else "�" for letter in text)
    state = getattr(error, "sqlstate", None)
    return type(error).__name__ if state is None else f"{type(error).__name__} ({state})"
