"""Protocol of a stand-in for a provider or platform, as the control API and the clock use it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

from starlette.routing import BaseRoute

Order = Literal["recorded", "reversed"]
"""In which order held webhooks are sent: as they were recorded, or the last one first."""


class StandIn(Protocol):
    """One provider or platform, as the control API sees it."""

    @property
    def name(self) -> str:
        """Return the name under which the routes are mounted: `stripe` under `/stripe`."""
        ...

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Return the provider's own API, with paths relative to the mount."""
        ...

    def next_due(self) -> datetime | None:
        """Return the world time of the next thing that happens by itself, such as a renewal.

        Retries of webhooks are not such things: they live by machine time.
        """
        ...

    async def fall_due(self, at: datetime) -> None:
        """Do what is due at exactly `at`, where the clock already stands; its events are created then."""
        ...

    async def drain(self) -> None:
        """Return when all that was queued to be sent is answered, or has failed and waits for its retry."""
        ...

    def pending(self) -> int:
        """Return how many outbound requests are queued, under way or wait for a retry, held ones aside."""
        ...

    def holds(self) -> dict[str, Any]:
        """Return what it holds, as JSON."""
        ...

    def received(self) -> list[dict[str, Any]]:
        """Return the requests that it received, the oldest first; the oldest of very many are forgotten."""
        ...

    async def reset(self) -> None:
        """Forget everything; safe to repeat."""
        ...

    async def start(self) -> None:
        """Start the tasks beside the requests."""
        ...

    async def stop(self) -> None:
        """End the tasks beside the requests; safe to repeat."""
        ...


@runtime_checkable
class WebhookSource(Protocol):
    """A stand-in that sends webhooks, and can be made to send them in another order."""

    def hold(self) -> None:
        """Keep what would be sent from now on, until the release. Safe to repeat."""
        ...

    async def release(self, *, order: Order = "recorded", times: int = 1) -> int:
        """Send what was held, each so many times, one after the other, and hold nothing further.

        Return how many were held.
        """
        ...
