"""Batches of statements: those of deliveries at about the same time take one round trip (stop 8)."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from mainstem.common.clock import Clock
from mainstem.common.database.faults import is_away
from mainstem.common.database.pool import Connection, Connections
from mainstem.common.queue.grouping import Grouped
from mainstem.common.queue.lease import Lease
from mainstem.common.telemetry import spans
from mainstem.sync.delivery import leases
from mainstem.sync.delivery import storage as deliveries
from mainstem.sync.delivery.storage import ClaimedDelivery, DeliveryLogEntry, SendIntent, SuccessfulDelivery
from mainstem.sync.platforms.difference import SentHashes
from mainstem.sync.profiles import loading
from mainstem.sync.profiles.profile import Profile

Item = TypeVar("Item")
Result = TypeVar("Result")


class DeliveryStore:
    """Stored deliveries of one platform. Each call commits what it writes."""

    def __init__(self, database: Connections, platform: str, clock: Clock) -> None:
        self._database = database
        self._platform = platform
        self._clock = clock
        self._load = self._grouped("load", _read)
        self._intend = self._grouped("intend", deliveries.intend)
        self._succeed = self._grouped("settle", self._settle)

    async def claim(self, lease: Lease, limit: int) -> list[ClaimedDelivery]:
        """Take up to `limit` deliveries that are due."""
        async with self._database.transaction() as connection:
            return await deliveries.claim(connection, self._platform, lease, self._clock.now(), limit)

    async def has_suspect(self) -> bool:
        """Return whether a delivery is due whose claims came to nothing again and again."""
        async with self._database.transaction() as connection:
            return await leases.has_suspect(connection, self._platform, self._clock.now())

    async def claim_suspect(self, lease: Lease) -> list[ClaimedDelivery]:
        """Take one delivery whose claims had no outcome again and again."""
        async with self._database.transaction() as connection:
            return await leases.claim_suspect(connection, self._platform, lease, self._clock.now())

    async def renew(self, claimed: ClaimedDelivery) -> bool:
        """Hold a delivery longer; return False if it is no longer held."""
        async with self._database.statement() as connection:
            return await leases.renew(connection, claimed)

    async def load(self, claimed: ClaimedDelivery) -> Profile | None:
        """Return what the platform is told of the contact, read after the claim; None if there is none."""
        stored = await self._load((claimed, spans.traceparent()))
        return loading.profile_of(claimed.contact_id, stored)

    async def intend(self, claimed: ClaimedDelivery, base: SentHashes) -> bool:
        """Write down what is about to be sent; return whether it may be, being held."""
        return await self._intend((SendIntent(claimed, base), spans.traceparent()))

    async def succeed(self, delivery: SuccessfulDelivery) -> bool | None:
        """Settle a delivery that arrived; return whether it is due again, None if it is no longer held."""
        return await self._succeed((delivery, spans.traceparent()))

    async def fail(
        self, claimed: ClaimedDelivery, error: str, entries: Iterable[DeliveryLogEntry], *, is_unknown: bool
    ) -> bool:
        """Settle a delivery that failed; return whether it was still held."""
        async with self._database.transaction() as connection:
            now = self._clock.now()
            is_held = await deliveries.fail(connection, claimed, error, now, is_unknown=is_unknown)
            await deliveries.record(connection, claimed, entries)
        return is_held

    async def give_back(self, claimed: ClaimedDelivery, entries: Iterable[DeliveryLogEntry]) -> None:
        """Let go of a delivery; it stays due."""
        async with self._database.transaction() as connection:
            await deliveries.give_back(connection, claimed)
            await deliveries.record(connection, claimed, entries)

    async def finish(self) -> None:
        """Wait until what was asked for is done."""
        for grouped in (self._load, self._intend, self._succeed):
            await grouped.finish()

    async def _settle(
        self, connection: Connection, successes: Sequence[SuccessfulDelivery]
    ) -> Sequence[bool | None]:
        return await deliveries.succeed(connection, successes, self._clock.now())

    def _grouped(
        self, name: str, act: Callable[[Connection, Sequence[Item]], Awaitable[Sequence[Result]]]
    ) -> Grouped[tuple[Item, str | None], Result]:
        """Return what acts on several by one statement, in a span of all their traces."""

        async def run(group: Sequence[tuple[Item, str | None]]) -> Sequence[Result]:
            causes = [traceparent for _, traceparent in group]
            with spans.span_for(name, causes, platform=self._platform, deliveries=len(group)):
                async with self._database.statement() as connection:
                    return await act(connection, [item for item, _ in group])

        # Whatever Postgres says of a group, one row alone may pass: it closes no deadlock, for one.
        return Grouped(run, is_own=lambda error: not is_away(error))


async def _read(connection: Connection, claimed: Sequence[ClaimedDelivery]) -> list[str]:
    return await loading.read(connection, [delivery.contact_id for delivery in claimed])
