"""Commit of a batch, stops 4 to 6: mirror, derive, announce, and the events are done."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from mainstem.common.database.pool import Connection
from mainstem.common.queue.lease import Lease
from mainstem.ingest.inbox import claims
from mainstem.ingest.mirror import revisions
from mainstem.ingest.mirror import write as mirror
from mainstem.ingest.pipeline import announcements
from mainstem.ingest.pipeline.locks import CommitLocks
from mainstem.ingest.pipeline.reading import Reading
from mainstem.ingest.providers.protocol import Change
from mainstem.ingest.subscriptions.owners import CustomerKey, CustomerOwner, Owners
from mainstem.ingest.subscriptions.products import rederive
from mainstem.ingest.subscriptions.storage import read_active


class Written(NamedTuple):
    """Outcome of a commit: entries for consumers, and the copies that buried an object."""

    entries: int
    buried: Sequence[Change]


class Commit:
    """Writer of what a batch of events says, for one provider."""

    def __init__(self, provider: str, owners: Owners) -> None:
        self._provider = provider
        self._owners = owners
        self._locks = CommitLocks(provider, owners)

    async def write(
        self, connection: Connection, lease: Lease, readings: Sequence[Reading], now: datetime
    ) -> Written:
        """Write everything, in the caller's transaction.

        Raises:
            LeaseLostError: another worker holds some of the events; the transaction must roll back.
            MovedError: it must roll back and may be tried again.
            RulesUnusableError: this release cannot derive by the active rule set; it must roll back.
        """
        rules = await read_active(connection)
        changes = [reading.change for reading in readings if reading.change is not None]
        customers = await self._locks.lock_objects(connection, readings, changes)
        links = await self._locks.lock_owners(connection, changes, customers)
        buried = await mirror.write(connection, changes)
        await revisions.write(connection, (one for reading in readings for one in reading.revisions), now)
        await self._write_owners(connection, changes, customers)
        changed = await rederive(connection, self._provider, links, rules, now)
        announced = {link: links[link] for link in changed}
        entries = await announcements.write(connection, announced, readings, customers, now)
        await claims.settle(connection, lease, [reading.event for reading in readings], now)
        return Written(entries, buried)

    async def _write_owners(
        self, connection: Connection, changes: Iterable[Change], customers: Iterable[CustomerOwner]
    ) -> None:
        """Write the owners that may be others than are written down: a customer changed, or the rule did.

        Of all other customers the mirror names the same owner as before, since their locks are held.
        """
        changed, copies = set[CustomerKey](), dict[CustomerKey, Change]()
        for one in changes:
            if one.snapshot.table == "customer":
                key = CustomerKey(one.account, one.snapshot.id)
                changed.add(key)
                # As the mirror: of several whole copies only the greatest is sent to Postgres.
                is_greatest = key not in copies or copies[key].version < one.version
                if one.snapshot.values is not None and is_greatest:
                    copies[key] = one
        relinked = [one for one in customers if one.key in changed or one.link != one.former_link]
        values = {key: one.snapshot.values or {} for key, one in copies.items()}
        await self._owners.write(connection, relinked, values)
