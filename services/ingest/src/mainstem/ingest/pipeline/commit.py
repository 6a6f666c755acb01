"""Stops 4 to 6 in one commit: mirror, derive, announce, and the events are done."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from mainstem.common.database.locks import LockClass, lock
from mainstem.common.database.pool import Connection
from mainstem.common.errors import MainstemError
from mainstem.common.owner import Link
from mainstem.common.queue.lease import Lease
from mainstem.common.queue.outbox import PRODUCT_SUBSCRIPTION_CHANGED, Announcement
from mainstem.common.queue.outbox import insert as announce
from mainstem.ingest.inbox import claims
from mainstem.ingest.inbox.claims import Event
from mainstem.ingest.mirror import revisions
from mainstem.ingest.mirror import write as mirror
from mainstem.ingest.pipeline.reading import Reading
from mainstem.ingest.providers.protocol import Change
from mainstem.ingest.subscriptions.owners import Customer, CustomerKey, Owners
from mainstem.ingest.subscriptions.products import rederive
from mainstem.ingest.subscriptions.storage import read_active

_Causes = dict[CustomerKey, Event]


class MovedError(MainstemError):
    """A subscription came to another customer while its lock was waited for: once more, from the start."""


class Written(NamedTuple):
    """Outcome of a commit: entries for consumers, and the copies that buried an object."""

    entries: int
    buried: Sequence[Change]


class Commit:
    """Writes what a batch of events says, for one provider."""

    def __init__(self, provider: str, owners: Owners) -> None:
        self._provider = provider
        self._owners = owners

    async def write(
        self, connection: Connection, lease: Lease, readings: Sequence[Reading], now: datetime
    ) -> Written:
        """Write everything, in the caller's transaction.

        Raises:
            LeaseLostError: somebody else holds some of the events; the transaction must roll back.
            MovedError: it must roll back and may be tried again.
            RulesUnusableError: this release cannot derive by the active rule set; it must roll back.
        """
        rules = await read_active(connection)
        changes = [reading.change for reading in readings if reading.change is not None]
        customers = await self._lock_objects(connection, readings, changes)
        links = await self._lock_owners(connection, changes, customers)
        buried = await mirror.write(connection, changes)
        await revisions.write(connection, (one for reading in readings for one in reading.revisions), now)
        await self._owners.write(connection, _relinked(changes, customers))
        changed = await rederive(connection, self._provider, links, rules, now)
        causes = _causes(readings, customers)
        announced = [_announcement(link, links[link], causes) for link in sorted(changed)]
        told = await announce(connection, announced, now)
        await claims.settle(connection, lease, [reading.event for reading in readings], now)
        return Written(told, buried)

    async def _lock_objects(
        self, connection: Connection, readings: Sequence[Reading], changes: Sequence[Change]
    ) -> list[Customer]:
        """Lock every root object and customer; return the customers whose products may change."""
        named = {
            CustomerKey(one.account, one.snapshot.customer)
            for one in changes
            if one.snapshot.customer is not None
        }
        roots = {(one.event.account, one.event.object_id) for one in readings}
        subscriptions = [(one.account, name) for one in changes if (name := _subscription(one)) is not None]
        # An item that comes with another subscription than before changes the former one's products too.
        items = [(one.account, item) for one in changes for item in _items(one)]
        found = await self._owners.find_holders(connection, subscriptions, items)
        locked = {*roots, *named, *found}
        await lock(connection, LockClass.OBJECT, ((self._provider, *name) for name in locked))
        customers = await self._owners.find(connection, _concerned(changes), subscriptions, items)
        if not locked.issuperset(one.key for one in customers):
            raise MovedError
        return customers

    async def _lock_owners(
        self, connection: Connection, changes: Sequence[Change], customers: Sequence[Customer]
    ) -> dict[Link, list[CustomerKey]]:
        """Lock every owner involved, former and new; return by which customers each is."""
        links: dict[Link, list[CustomerKey]] = {}
        for one in customers:
            for link in (one.link, one.former_link):
                if link is not None:
                    links.setdefault(link, []).append(one.key)
        for change in changes:
            link = self._named(change)
            if link is not None:
                links.setdefault(link, []).append(CustomerKey(change.account, change.snapshot.id))
        await lock(connection, LockClass.OWNER, ((self._provider, *link) for link in links))
        return links

    def _named(self, change: Change) -> Link | None:
        if change.snapshot.table != "customer" or change.snapshot.values is None:
            return None
        return self._owners.named(change.account, change.snapshot.values)


def _concerned(changes: Iterable[Change]) -> set[CustomerKey]:
    """Return the customers whose products the changes may change.

    A bill changes none, and neither does a price by itself: its product, amount, currency and interval stay
    as they were made. https://docs.stripe.com/api/prices/update
    """
    found = set()
    for one in changes:
        if one.snapshot.table == "customer":
            found.add(CustomerKey(one.account, one.snapshot.id))
        elif one.snapshot.table == "subscription" and one.snapshot.customer is not None:
            found.add(CustomerKey(one.account, one.snapshot.customer))
    return found


def _relinked(changes: Iterable[Change], customers: Iterable[Customer]) -> set[CustomerKey]:
    """Return the customers whose owner may be another than is written down: they change, or the rule did.

    Of all others the mirror names the same owner as before, since their locks are held.
    """
    changed = {
        CustomerKey(one.account, one.snapshot.id) for one in changes if one.snapshot.table == "customer"
    }
    return {one.key for one in customers if one.key in changed or one.link != one.former_link}


def _subscription(change: Change) -> str | None:
    """Return which subscription a change is of, or of an item of, if it is."""
    snapshot = change.snapshot
    if snapshot.table == "subscription":
        return snapshot.id
    return None if snapshot.table != "subscription_item" else (snapshot.values or {}).get("subscription")


def _items(change: Change) -> Iterable[str]:
    """Return the subscription items that a change may write."""
    snapshot = change.snapshot
    if snapshot.table == "subscription" and snapshot.children is not None:
        return [row["id"] for row in snapshot.children.rows]
    return [snapshot.id] if snapshot.table == "subscription_item" else []


def _causes(readings: Iterable[Reading], customers: Iterable[Customer]) -> _Causes:
    """Return the oldest event that concerns each customer, and bears a trace."""
    through = {(one.key.account, one.subscription): one.key for one in customers if one.subscription}
    causes: _Causes = {}
    for reading in sorted(readings, key=lambda one: one.event.id):
        event, change = reading.event, reading.change
        if event.traceparent is None:
            continue
        root = (event.account, event.object_id)
        causes.setdefault(through.get(root, CustomerKey(*root)), event)
        if change is not None and change.snapshot.customer is not None:
            causes.setdefault(CustomerKey(event.account, change.snapshot.customer), event)
    return causes


def _announcement(link: Link, customers: Iterable[CustomerKey], causes: _Causes) -> Announcement:
    events = [causes[one] for one in customers if one in causes]
    oldest = min(events, key=lambda event: event.id, default=None)
    key = f"{link.kind}:{link.value}"
    return Announcement(PRODUCT_SUBSCRIPTION_CHANGED, key, None if oldest is None else oldest.traceparent)
