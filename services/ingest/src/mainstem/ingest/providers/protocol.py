"""Provider protocol: the shapes that travel between a provider's room and the pipeline."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from mainstem.common.errors import BadRequestError, MainstemError


class SignatureError(BadRequestError):
    """Nobody we know signed this, or not now."""


class PayloadError(MainstemError):
    """Payload of the provider that makes no row; the text names the place, never the value."""


class FetchError(MainstemError):
    """The provider could not be asked, or gave no usable answer; later it may."""


class RefusedError(MainstemError):
    """The provider says that this cannot be asked; asking again will not help."""


class RestrictedError(MainstemError):
    """The provider answers, but the key lacks `permission`; None if no permission would do."""

    def __init__(self, permission: str | None) -> None:
        super().__init__(f"the key lacks the permission {permission or 'that only an unrestricted key has'}")
        self.permission = permission


class Version(NamedTuple):
    """Recency of a copy of an object: compared as a whole, only a greater version overwrites."""

    epoch: int
    at: datetime
    rank: int
    key: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """Fields of an event that its endpoint reads: enough to store it once and to find its object.

    `is_known`: whether events of this type are processed. `problem`: the reason why this event cannot be
    processed although its type is known; it becomes a dead letter at once. `owner_id`: the provider's id of
    the account that the event is about, None for the account at whose endpoint it came in.
    """

    event_id: str
    type: str
    object_type: str | None
    object_id: str | None
    created: datetime | None
    api_version: str | None
    livemode: bool | None
    is_known: bool
    problem: str | None = None
    owner_id: str | None = None


@dataclass(frozen=True, slots=True)
class Children:
    """The rows of an object's nested list; an incomplete list proves nothing of what is absent."""

    rows: tuple[Mapping[str, Any], ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One object as rows: `values` by column of `table`, None where all that is known is that it is gone.

    `customer` is whom it concerns, None for what belongs to nobody.
    `embedded` holds whole copies of other objects that came inside it.
    """

    table: str
    id: str
    values: Mapping[str, Any] | None
    customer: str | None = None
    is_deleted: bool = False
    children: Children | None = None
    embedded: tuple["Snapshot", ...] = ()


@dataclass(frozen=True, slots=True)
class Signed:
    """An event's object as the provider signed it: its bytes, and since when they hold."""

    body: bytes
    created: datetime


class Reader(Protocol):
    """Asks one account at a provider."""

    @property
    def livemode(self) -> bool | None:
        """The side of the account that its key opens; None if the key does not show it."""
        ...

    async def fetch(self, object_type: str, object_id: str) -> bytes | None:
        """Return an object's bytes with its nested lists read to their end, None if there is none.

        The object has the requested kind and id. None is the provider's own word that this account has no
        such object, never just a 404.

        Raises:
            FetchError: not now.
            RefusedError: not ever.
        """
        ...

    async def identity(self) -> str:
        """Return the provider's id of the account that the key opens.

        Raises:
            FetchError: not now.
            RestrictedError: the key may not read it.
        """
        ...

    def connected(self, account_id: str) -> "Reader":
        """Return a reader of a connected account, with the same key and the same connections."""
        ...


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
        """The object that it is a copy of: (table, account, id)."""
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
