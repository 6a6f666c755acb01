"""Stripe's events: what the door reads of one, and what version its payload has; pure."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from mainstem.common.database.texts import UNSTORABLE, check, check_length
from mainstem.common.errors import BadRequestError
from mainstem.ingest.providers.protocol import Envelope, PayloadError, Signed, Snapshot
from mainstem.ingest.providers.stripe.event_account import read_owner
from mainstem.ingest.providers.stripe.rows import snapshot
from mainstem.ingest.providers.stripe.shapes import END_OF_TIME, Seconds
from mainstem.ingest.providers.stripe.thin_events import FIX, is_thin, read_thin

KINDS = {
    "customer": "customer",
    "customer.subscription": "subscription",
    "invoice": "invoice",
    "price": "price",
    "product": "product",
}
"""Kind of object by family of events; events of other families are stored and ignored.

Source: https://docs.stripe.com/api/events/types
"""

RANKS = {"invoice.paid": 2, "invoice.voided": 2, "invoice.marked_uncollectible": 2}
RANK_OF_VERB = {"created": 0, "deleted": 3}
RANK = 1
"""Order of events in one second: created, any other, settled invoice, deleted."""

NO_OBJECT = "invoice.upcoming"
"""The one type of event whose object has no id: it does not exist yet. https://docs.stripe.com/api/invoices/upcoming"""

NO_ID = "the event names no object"
NOT_WORKED_ON = "events of this type are not worked on in this release"

TOMBSTONES = frozenset({"customer.deleted", "product.deleted", "price.deleted", "invoice.deleted"})
"""Events whose object is gone; `customer.subscription.deleted` is a status."""


class _Object(msgspec.Struct):
    id: str | None = None
    object: str | None = None
    livemode: Any = None


class _Data(msgspec.Struct):
    object: _Object


class _Event(msgspec.Struct):
    id: str
    type: str
    data: _Data
    object: Any = None
    created: int | None = None
    livemode: bool | None = None
    api_version: str | None = None
    account: Any = None
    context: Any = None
    user_id: Any = None


class _SignedData(msgspec.Struct):
    object: msgspec.Raw


class _Signed(msgspec.Struct):
    created: Seconds
    data: _SignedData


_read_event = msgspec.json.Decoder(_Event).decode
_read_object = msgspec.json.Decoder(_Object).decode
_read_signed = msgspec.json.Decoder(_Signed).decode


def read_envelope(body: bytes) -> Envelope:
    """Return what the door needs of an event.

    Raises:
        BadRequestError: it is not a JSON object with an id and a type, or one of the texts that it is
            stored by is too long, or holds a NUL, or what it names as its account is no account's id.
    """
    event = _find_event(body)
    if event is None or is_thin(event.type, event.object):
        thin = read_thin(body, KINDS)
        if thin is not None:
            return thin
    event = event or _read_oddity(body)
    if not event.id or not event.type:
        raise BadRequestError("the event has no id, or no type")
    about = event.data.object
    check(event_id=event.id, type=event.type)
    check(object_id=about.id, object_type=about.object)
    check_length(api_version=event.api_version)
    return _envelope(event)


def read_signed(body: bytes) -> Signed:
    """Return an event's object as it was signed.

    Raises:
        PayloadError: the event has no object, or no time.
    """
    try:
        event = _read_signed(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PayloadError(f"event: {error}") from None
    return Signed(bytes(event.data.object), datetime.fromtimestamp(event.created, UTC))


def read_snapshot(event_type: str, body: bytes) -> Snapshot:
    """Return the rows of an event's object.

    Raises:
        PayloadError: it cannot be read as what the event's type announces.
    """
    return snapshot(kind_of(event_type), body, is_deleted=event_type in TOMBSTONES)


def kind_of(event_type: str) -> str:
    """Return the kind of object that a snapshot of this type carries.

    Raises:
        PayloadError: events of the type are thin, or are not worked on.
    """
    kind = KINDS.get(_family(event_type))
    if kind is None:
        raise PayloadError(FIX if is_thin(event_type) else NOT_WORKED_ON)
    return kind


def check_workable(event_type: str, object_type: str | None, object_id: str | None) -> None:
    """Pass if the object of an event can be fetched; others come so far by a replay alone.

    Raises:
        PayloadError: events of the type are not worked on, or this one names no object.
    """
    kind = object_type if is_thin(event_type) else kind_of(event_type)
    if kind not in KINDS.values():
        raise PayloadError(NOT_WORKED_ON)
    if not object_id:
        raise PayloadError(NO_ID)


def demand_kind(event_type: str, body: bytes) -> None:
    """Pass if an event's object is of the kind that the event's type announces.

    Raises:
        PayloadError: it is of another kind, or of none.
    """
    announced = KINDS[_family(event_type)]
    try:
        kind = _read_object(body).object
    except (msgspec.DecodeError, RecursionError) as error:
        raise PayloadError(f"{announced}: {error}") from None
    if kind != announced:
        raise PayloadError(f"a {announced} was announced, something else came")


def rank(event_type: str) -> int:
    """Return how late an event of this type is among those of its second."""
    verb = event_type.rpartition(".")[2]
    return RANKS.get(event_type, RANK_OF_VERB.get(verb, RANK))


def canonical(body: bytes) -> bytes:
    """Return JSON without what does not matter: space and the order of keys.

    Raises:
        PayloadError: it is not JSON.
    """
    try:
        return msgspec.json.encode(msgspec.json.decode(body), order="deterministic")
    except (msgspec.DecodeError, RecursionError) as error:
        raise PayloadError(f"event: {error}") from None


def _find_event(body: bytes) -> _Event | None:
    try:
        return _read_event(body)
    except (msgspec.DecodeError, RecursionError):
        return None


def _envelope(event: _Event) -> Envelope:
    kind, object_id = event.data.object.object, event.data.object.id
    family = KINDS.get(_family(event.type))
    created = event.created if event.created is not None and 0 <= event.created < END_OF_TIME else None
    return Envelope(
        event_id=event.id,
        type=event.type,
        object_type=family or kind,
        object_id=object_id or None,
        created=None if created is None else datetime.fromtimestamp(created, UTC),
        api_version=None if UNSTORABLE.search(event.api_version or "") else event.api_version,
        livemode=_livemode(event),
        is_known=family is not None and event.type != NO_OBJECT,
        problem=NO_ID if _lacks_object(event.type, family, object_id) else None,
        owner_id=read_owner(event.context, event.account, event.user_id),
    )


def _livemode(event: _Event) -> bool | None:
    """Return the event's side, else that of its object, None if neither shows one."""
    if event.livemode is None and isinstance(event.data.object.livemode, bool):
        return event.data.object.livemode
    return event.livemode


def _lacks_object(event_type: str, family: str | None, object_id: str | None) -> bool:
    return family is not None and event_type != NO_OBJECT and not object_id


def _family(event_type: str) -> str:
    return event_type.rpartition(".")[0]


def _read_oddity(body: bytes) -> _Event:
    """Read an event that is JSON and yet not shaped as an event is: it is kept, and fails at stop 4."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequestError("the body is not JSON") from None
    if not isinstance(event, dict):
        raise BadRequestError("the body is not a JSON object")
    found = _dict(_dict(event, "data"), "object")
    return _Event(
        id=_typed(event, "id", str) or "",
        type=_typed(event, "type", str) or "",
        data=_Data(_Object(_typed(found, "id", str), _typed(found, "object", str), found.get("livemode"))),
        created=_typed(event, "created", int),
        livemode=_typed(event, "livemode", bool),
        api_version=_typed(event, "api_version", str),
        account=event.get("account"),
        context=event.get("context"),
        user_id=event.get("user_id"),
    )


def _dict(value: dict[str, Any], name: str) -> dict[str, Any]:
    member = value.get(name)
    return member if isinstance(member, dict) else {}


def _typed(value: dict[str, Any], name: str, kind: type) -> Any:
    member = value.get(name)
    return member if isinstance(member, kind) else None
