"""Platform protocol: shape a profile, plan the requests, send one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mainstem.sync.platforms.difference import Row, Tables
from mainstem.sync.profiles.profile import Profile


class SendError(Exception):
    """A request was not carried out, or not wholly; the platform may be asked again. Quotes nobody's data."""


class NotPreparedError(SendError):
    """Nothing was done, and after a `prepare` the same request may go again at once."""


class SendUnknownError(Exception):
    """No answer came: the platform may have acted, may act later, or never will."""


@dataclass(frozen=True, slots=True)
class PlatformRequest:
    """One request to a platform: `kind` is how the delivery log calls it."""

    kind: str
    table: str
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class ShapedContact:
    """A profile in a platform's own terms, and what should be said of the conversion in the log."""

    tables: Tables
    notes: Mapping[str, Any] = field(default_factory=dict)


class Platform(Protocol):
    """A marketing tool that contacts are sent to."""

    @property
    def name(self) -> str:
        """Return the platform's name in deliveries, slots and logs."""
        ...

    @property
    def timeout_seconds(self) -> float:
        """Return how long one request may take."""
        ...

    def shape(self, profile: Profile) -> ShapedContact:
        """Return everything the platform is to hold of the contact. Pure."""
        ...

    def plan(
        self, tables: Tables, changed: set[str], vanished: Mapping[str, set[str]]
    ) -> list[PlatformRequest]:
        """Return the requests that bring about what differs, in order. Pure, and safe to send twice.

        Args:
            tables: the shape's.
            changed: the tables of which some row is new, or says something else.
            vanished: by table, the keys that were sent once and are no longer there.
        """
        ...

    @property
    def deletes_vanished(self) -> bool:
        """Return whether `plan` has vanished rows deleted."""
        ...

    async def prepare(self) -> None:
        """Get ready to send, where that takes a request of its own: an access token.

        Raises:
            SendError: it could not; nothing was sent.
        """
        ...

    async def send(self, request: PlatformRequest) -> None:
        """Send one request; it ends within `timeout_seconds`.

        Raises:
            NotPreparedError: the preparation no longer holds.
            SendError: refused, or carried out in part.
            SendUnknownError: nobody knows.
        """
        ...
