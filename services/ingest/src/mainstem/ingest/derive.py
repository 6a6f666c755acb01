"""Deriving, stop 5: which products an owner has, from the items of its subscriptions; pure.

These are the rules of CTMS v1.1.0, with its gaps closed: the latest entry is the greatest by period end,
subscription's creation, subscription and item; what was canceled without an end ended when it was canceled,
or else began; a status that nobody knows is `other`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of one subscription, with what it costs, as the mirror has it."""

    subscription_id: str
    item_id: str
    product_id: str
    status: str
    created: datetime
    start_date: datetime | None
    canceled_at: datetime | None
    ended_at: datetime | None
    cancel_at_period_end: bool | None
    current_period_start: datetime | None
    current_period_end: datetime | None
    price_id: str
    currency: str | None
    amount: int | None
    interval: str | None
    interval_count: int | None


@dataclass(frozen=True, slots=True)
class Product:
    """What an owner has of one product: its latest entry, how many there are, and what that makes it."""

    segment: str
    changed: datetime
    sub_count: int
    latest: Entry


@dataclass(frozen=True, slots=True)
class _Segment:
    """A row of the table of segments; `times` says since when, the first that is known."""

    name: str
    times: Sequence[Callable[[Entry], datetime | None]]
    counts: bool = True


def _created(entry: Entry) -> datetime:
    return entry.created


def _start(entry: Entry) -> datetime | None:
    return entry.start_date


def _canceled(entry: Entry) -> datetime | None:
    return entry.canceled_at


def _ended(entry: Entry) -> datetime | None:
    return entry.ended_at


_OTHER = _Segment("other", (_created,), counts=False)

_SEGMENTS = {
    ("active", False): _Segment("active", (_start,)),
    ("active", True): _Segment("cancelling", (_canceled,)),
    ("canceled", False): _Segment("canceled", (_ended,)),
    ("canceled", True): _Segment("canceled", (_ended, _canceled)),
}
"""By status, and whether the subscription was canceled; every other status is `other`."""

AGAIN = "re-"
"""The prefix of the segment of somebody who has, or had, the product more than once."""


def derive(entries: Iterable[Entry]) -> list[Product]:
    """Return what the owner of these entries has, one row a product, by the product's id."""
    by_product: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_product[entry.product_id].append(entry)
    return [_product(by_product[product]) for product in sorted(by_product)]


def _product(entries: Sequence[Entry]) -> Product:
    latest = max(entries, key=_lateness)
    segment = _SEGMENTS.get((latest.status, latest.canceled_at is not None), _OTHER)
    prefix = AGAIN if segment.counts and len(entries) > 1 else ""
    return Product(prefix + segment.name, _changed(segment, latest), len(entries), latest)


def _lateness(entry: Entry) -> tuple[datetime, datetime, str, str]:
    return (entry.current_period_end or NEVER, entry.created, entry.subscription_id, entry.item_id)


def _changed(segment: _Segment, entry: Entry) -> datetime:
    return next(filter(None, (time(entry) for time in segment.times)), entry.created)
