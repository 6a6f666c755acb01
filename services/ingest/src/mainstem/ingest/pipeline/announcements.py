"""Announcements of a commit: an outbox entry for each changed owner, in the trace of its cause (stop 6)."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from mainstem.common.database.pool import Connection
from mainstem.common.owner import Link
from mainstem.common.queue.outbox import PRODUCT_SUBSCRIPTION_CHANGED, Announcement, insert
from mainstem.ingest.inbox.claims import ClaimedEvent
from mainstem.ingest.pipeline.reading import Reading
from mainstem.ingest.subscriptions.owners import CustomerKey, CustomerOwner

_Causes = Mapping[CustomerKey, ClaimedEvent]


async def write(
    connection: Connection,
    changed: Mapping[Link, Iterable[CustomerKey]],
    readings: Iterable[Reading],
    customers: Iterable[CustomerOwner],
    now: datetime,
) -> int:
    """Write the entries of the changed owners, given with their customers; return how many entries."""
    causes = _causes(readings, customers)
    return await insert(
        connection, [_announcement(link, changed[link], causes) for link in sorted(changed)], now
    )


def _causes(readings: Iterable[Reading], customers: Iterable[CustomerOwner]) -> _Causes:
    """Return the oldest event that concerns each customer, and bears a trace."""
    through = {(one.key.account, one.subscription): one.key for one in customers if one.subscription}
    causes: dict[CustomerKey, ClaimedEvent] = {}
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
