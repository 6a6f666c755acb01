"""Locks of a commit: root objects and customers first, then every owner involved (stop 4)."""

from collections.abc import Iterable, Sequence

from mainstem.common.database.locks import LockClass, lock
from mainstem.common.database.pool import Connection
from mainstem.common.errors import MainstemError
from mainstem.common.owner import Link
from mainstem.ingest.pipeline.reading import Reading
from mainstem.ingest.providers.protocol import Change
from mainstem.ingest.subscriptions.owners import CustomerKey, CustomerOwner, Owners


class MovedError(MainstemError):
    """A subscription came to another customer while its lock was waited for: once more, from the start."""


class CommitLocks:
    """Locks of one provider's objects and owners, held until the transaction ends."""

    def __init__(self, provider: str, owners: Owners) -> None:
        self._provider = provider
        self._owners = owners

    async def lock_objects(
        self, connection: Connection, readings: Sequence[Reading], changes: Sequence[Change]
    ) -> list[CustomerOwner]:
        """Lock every root object and customer; return the customers whose products may change.

        Raises:
            MovedError: one of these customers is not among the locked ones.
        """
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

    async def lock_owners(
        self, connection: Connection, changes: Sequence[Change], customers: Sequence[CustomerOwner]
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
