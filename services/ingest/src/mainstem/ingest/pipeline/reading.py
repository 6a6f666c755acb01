"""Readings, the result of stop 3: an event with the revisions and the change that it says."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from mainstem.ingest.inbox.claims import ClaimedEvent
from mainstem.ingest.providers.protocol import (
    Change,
    FetchError,
    PayloadError,
    RefusedError,
    Revision,
    Snapshot,
)
from mainstem.ingest.providers.stripe.events import canonical

LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Reading:
    """An event that was read: what it adds to the history, and what it changes of the mirror, if it does."""

    event: ClaimedEvent
    revisions: tuple[Revision, ...]
    change: Change | None


def signed_revision(event: ClaimedEvent, body: bytes, created: datetime) -> Revision:
    """Return the revision that an event's payload is; its bytes stay in the inbox.

    Raises:
        PayloadError: the payload is not JSON.
    """
    return Revision(
        event.account, event.object_type, event.object_id, created, _content_hash(body), event.id, None
    )


def bare_revision(event: ClaimedEvent, snapshot: Snapshot) -> Revision:
    """Return the revision that a bare object is, from its recording on; its bytes stay in the inbox.

    Raises:
        PayloadError: the body is not JSON.
    """
    content_hash = _content_hash(event.body)
    return Revision(
        event.account, snapshot.table, snapshot.id, event.recorded_at, content_hash, event.id, None
    )


def fetched_revision(event: ClaimedEvent, body: bytes, valid_from: datetime) -> Revision:
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
