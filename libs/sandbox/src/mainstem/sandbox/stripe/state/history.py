"""History of an account: its events, in order."""

from dataclasses import dataclass, field

import msgspec

from mainstem.sandbox.stand_ins.archive import Archive, Row
from mainstem.sandbox.stripe.state.store import Shelf

_KIND = "_event"
_NONE = b"null"


@dataclass(frozen=True)
class Cause:
    """The request that made something happen; both None for what happened by itself."""

    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass
class StripeEvent:
    """Something that happened, with what the object showed after it and, of a change, before it."""

    id: str
    type: str
    created: int
    api_version: str
    cause: Cause
    after: bytes
    before: bytes | None
    waiting: set[str] = field(default_factory=set)
    """The ids of the webhook endpoints that have not confirmed it yet."""
    account: str | None = None
    """The connected account that it happened in; None for the account itself."""


class _Kept(msgspec.Struct):
    """An event as its row has it; who waits for it is in rows of their own."""

    type: str
    created: int
    api_version: str
    cause: Cause
    after: msgspec.Raw
    before: msgspec.Raw


class History(Shelf[StripeEvent]):
    """The events of one account, kept in its archive."""

    def __init__(self, archive: Archive) -> None:
        super().__init__()
        self._archive = archive
        for row in archive.rows(_KIND):
            self.add(row.id, _recalled(row))

    def record(self, event: StripeEvent) -> None:
        """Put an event behind all others, for good."""
        self._archive.put(_KIND, event.id, _kept(event), seq=self.end)
        self.add(event.id, event)


def _kept(event: StripeEvent) -> _Kept:
    return _Kept(
        type=event.type,
        created=event.created,
        api_version=event.api_version,
        cause=event.cause,
        after=msgspec.Raw(event.after),
        before=msgspec.Raw(event.before or _NONE),
    )


def _recalled(row: Row) -> StripeEvent:
    kept = msgspec.json.decode(row.body, type=_Kept)
    return StripeEvent(
        id=row.id,
        type=kept.type,
        created=kept.created,
        api_version=kept.api_version,
        cause=kept.cause,
        after=bytes(kept.after),
        before=None if bytes(kept.before) == _NONE else bytes(kept.before),
    )
