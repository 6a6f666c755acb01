"""Acoustic's limit on requests at once: the eleventh is rejected, not queued."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mainstem.sandbox.acoustic.envelope import FaultAnswer, write_answers
from mainstem.sandbox.stand_ins.faults import ClosingApp

MOST_AT_ONCE = 10
"""For the whole organisation. https://developer.goacoustic.com/acoustic-campaign/reference/xml-api-overview"""

REJECTION = FaultAnswer("Max number of concurrent requests reached")


class Limit:
    """Counts the requests under way to the XML API."""

    def __init__(self) -> None:
        self._under_way = 0
        self._most_at_once = 0
        self._accepted = 0
        self._rejected = 0

    def as_json(self) -> dict[str, int]:
        """Return the counts since the last `forget`."""
        return {
            "accepted": self._accepted,
            "rejected": self._rejected,
            "most_at_once": self._most_at_once,
            "under_way": self._under_way,
        }

    def forget(self) -> None:
        """Start the counts again, but for the requests now under way."""
        self._most_at_once = self._under_way
        self._accepted = self._rejected = 0

    def enter(self) -> bool:
        """Take a place, to be given back with `leave`; return False where all are taken."""
        if self._under_way >= MOST_AT_ONCE:
            self._rejected += 1
            return False
        self._under_way += 1
        self._accepted += 1
        self._most_at_once = max(self._most_at_once, self._under_way)
        return True

    def leave(self) -> None:
        """Give the place back."""
        self._under_way -= 1


class LimitMiddleware:
    """Reject what exceeds the limit.

    It stands around the scripted faults, so that a request which they delay keeps its place; what the
    application returns is passed on, since the faults close a connection that way.
    """

    def __init__(
        self, app: ClosingApp, limit: Limit, path: str, on_rejected: Callable[[Headers, FaultAnswer], None]
    ) -> None:
        self._app = app
        self._limit = limit
        self._path = path
        self._on_rejected = on_rejected

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> object:
        """Pass the request on while there is a place for it."""
        if scope["type"] != "http" or scope["path"] != self._path:
            return await self._app(scope, receive, send)
        if not self._limit.enter():
            self._on_rejected(Headers(scope=scope), REJECTION)
            await Response(write_answers([REJECTION]), media_type="text/xml")(scope, receive, send)
            return None
        try:
            return await self._app(scope, receive, send)
        finally:
            self._limit.leave()
