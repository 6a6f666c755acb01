"""Stripe's objects that come without an event around them: read strictly, before anything is stored; pure.

They are what CTMS takes at `/stripe`: the fields that its mirror has are demanded, the rest may be absent.
What it crashed on is refused here, but for what any reader would take: a price without `recurring`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mainstem.common.errors import BadRequestError, MainstemError
from mainstem.common.http.bodies import parse
from mainstem.ingest.providers.protocol import PayloadError, Snapshot
from mainstem.ingest.providers.stripe.rows import lone_item, snapshot
from mainstem.ingest.providers.stripe.shapes import Amount, Count, Id, Seconds

UNRECOGNIZED = "Request JSON is not recognized."
UNREADABLE = "Unable to process Stripe object."
"""CTMS' error texts, word for word."""

PREFIX = "bare."
"""Prefix of the types of these events; Stripe's own types never have it."""

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""An escaped NUL, which Postgres cannot hold; JSON has no other one, and no half of a surrogate pair."""

Currency = Annotated[str, Meta(min_length=3, max_length=3)]
Owner = Annotated[str, Meta(max_length=255)]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=40)], Annotated[str, Meta(max_length=500)]], Meta(max_length=50)
]
"""As Stripe limits it. https://docs.stripe.com/api/metadata"""
MOST = 250
"""Items or lines of one object; a page of Stripe's has at most 100, and an invoice at most 250 lines."""


class _Recurring(msgspec.Struct):
    interval: Literal["day", "week", "month", "year"]
    interval_count: Count


class _Price(msgspec.Struct):
    id: Id
    object: Literal["price"]
    created: Seconds
    product: Id
    active: bool
    currency: Currency
    recurring: _Recurring | None = None
    unit_amount: Amount | None = None
    metadata: Metadata | None = None


class _Item(msgspec.Struct):
    id: Id
    object: Literal["subscription_item"]
    created: Seconds
    subscription: Id
    price: _Price


class _Items(msgspec.Struct):
    data: Annotated[list[_Item], Meta(max_length=MOST)]


class _Subscription(msgspec.Struct):
    id: Id
    object: Literal["subscription"]
    created: Seconds
    customer: Id
    start_date: Seconds
    status: Literal[
        "incomplete",
        "incomplete_expired",
        "trialing",
        "active",
        "past_due",
        "canceled",
        "unpaid",
        "paused",
    ]
    cancel_at_period_end: bool
    canceled_at: Seconds | None
    ended_at: Seconds | None
    default_payment_method: Id | None
    default_source: Id | None
    items: _Items
    metadata: Metadata | None = None


class _Line(msgspec.Struct):
    id: Id
    object: Literal["line_item"]
    amount: Amount
    currency: Currency
    price: _Price | None = None
    type: Literal["invoiceitem", "subscription"] | None = None
    parent: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.type is None and self.parent is None:
            raise ValueError("a line has neither `type` nor `parent`")


class _Lines(msgspec.Struct):
    data: Annotated[list[_Line], Meta(max_length=MOST)]


class _Invoice(msgspec.Struct):
    id: Id
    object: Literal["invoice"]
    created: Seconds
    customer: Id
    currency: Currency
    total: Amount
    # CTMS knew the misspelled word alone.
    status: Literal["draft", "open", "paid", "uncollectible", "uncollectable", "void"]
    default_payment_method: Id | None
    default_source: Id | None
    lines: _Lines
    metadata: Metadata | None = None


class _Settings(msgspec.Struct):
    default_payment_method: Id | None


class _Customer(msgspec.Struct):
    id: Id
    object: Literal["customer"]
    created: Seconds
    description: Owner
    default_source: Id | None
    invoice_settings: _Settings
    metadata: Metadata | None = None


_SHAPES: dict[str, type[msgspec.Struct]] = {
    "customer": _Customer,
    "price": _Price,
    "subscription": _Subscription,
    "subscription_item": _Item,
    "invoice": _Invoice,
}
"""Every kind that is taken, and what it must say."""

_LISTS = {"subscription": "items", "invoice": "lines"}

_MAY_BE_DELETED = _SHAPES.keys() - {"subscription_item"}
"""A deleted item names no subscription, so it says nothing that could be stored."""


@dataclass(frozen=True, slots=True)
class BareObject:
    """Kind, side and `root` of a bare object; `root` is the object that would be fetched for it."""

    kind: str
    root: tuple[str, str]
    livemode: bool | None

    @property
    def event_type(self) -> str:
        """The type of the event that it becomes."""
        return f"{PREFIX}{self.kind}"


def is_bare(event_type: str) -> bool:
    """Return whether an event carries a bare object, and no event of Stripe's."""
    return event_type.startswith(PREFIX)


def read_bare(body: bytes) -> BareObject:
    """Return what a bare object is; it can be read as rows, and stored.

    Raises:
        BadRequestError: it cannot; the text is CTMS's, but for an id that is too long.
    """
    about = _recognized(body)
    kind = about["object"]
    try:
        rows = _snapshot(about)
    except PayloadError:
        raise BadRequestError(UNREADABLE) from None
    root = (kind, rows.id) if kind != "subscription_item" else ("subscription", about["subscription"])
    if not rows.id or not root[1] or _NUL.search(body):
        raise BadRequestError(UNREADABLE)
    livemode = about.get("livemode")
    return BareObject(kind, root, livemode if isinstance(livemode, bool) else None)


def bare_snapshot(body: bytes) -> Snapshot:
    """Return the rows of a bare object.

    Raises:
        PayloadError: it has none.
    """
    try:
        return _snapshot(_recognized(body))
    except BadRequestError as error:
        raise PayloadError(error.detail) from None


def _recognized(body: bytes) -> dict[str, Any]:
    try:
        about = parse(body)
    except MainstemError:
        raise BadRequestError(UNRECOGNIZED) from None
    if not isinstance(about, dict) or "object" not in about or "id" not in about:
        raise BadRequestError(UNRECOGNIZED)
    return about


def _snapshot(about: dict[str, Any]) -> Snapshot:
    """Demand what CTMS demands, then read the object as any other."""
    kind = about["object"]
    shape = _SHAPES.get(kind) if isinstance(kind, str) else None
    if shape is None:
        raise PayloadError("an object of a kind that nobody takes")
    if about.get("deleted") is True and kind in _MAY_BE_DELETED:
        return snapshot(kind, msgspec.json.encode(about))
    try:
        msgspec.convert(about, shape)
    except msgspec.ValidationError as error:
        raise PayloadError(f"{kind}: {error}") from None
    read: Callable[[str, bytes], Snapshot] = lone_item if kind == "subscription_item" else snapshot
    return read(kind, msgspec.json.encode(_completed(kind, about)))


def _completed(kind: str, about: dict[str, Any]) -> dict[str, Any]:
    """Return the object with what its kind always has at Stripe and CTMS's callers leave out."""
    if (name := _LISTS.get(kind)) is not None:
        about = {**about, name: {"has_more": False, **about[name]}}
    if kind == "invoice" and "parent" not in about:
        about = {"subscription": None, **about}
    return about
