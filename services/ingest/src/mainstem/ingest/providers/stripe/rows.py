"""Stripe's objects as rows of the mirror, whichever era's shapes they came in (stop 4); pure."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET

from mainstem.ingest.providers.protocol import Children, PayloadError, Snapshot
from mainstem.ingest.providers.stripe.shapes import (
    Customer,
    Deleted,
    Expanded,
    Invoice,
    Item,
    Line,
    LineDetails,
    LoneItem,
    Paused,
    Price,
    Product,
    Ref,
    StatusTransitions,
    Subscription,
)

LINE_TYPES = {"subscription_item_details": "subscription", "invoice_item_details": "invoiceitem"}
"""Today's word for a line's origin, and the one before, which the mirror keeps."""


def snapshot(kind: str, body: bytes | msgspec.Raw, *, is_deleted: bool = False) -> Snapshot:
    """Return an object as rows; of one that says no more than that it is deleted, only that.

    Raises:
        PayloadError: a required field is absent, or one has a wrong type.
    """
    try:
        rest = msgspec.json.decode(body, type=Deleted)
        if rest.object != kind:
            raise PayloadError(f"a {kind} was announced, something else came")
        if rest.deleted:
            return Snapshot(kind, rest.id, None, is_deleted=True)
        parse, build = _KINDS[kind]
        return build(parse(body), is_deleted)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PayloadError(f"{kind}: {error}") from None


def lone_item(kind: str, body: bytes) -> Snapshot:
    """Return an item that came without its subscription as its row; its period may be absent.

    Raises:
        PayloadError: a required field is absent, or one has a wrong type.
    """
    try:
        item = _decode_lone_item(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PayloadError(f"{kind}: {error}") from None
    start, end = item.current_period_start or None, item.current_period_end or None
    values = {"subscription": item.subscription, **_item_row(item, start, end)}
    return Snapshot(kind, item.id, values, embedded=(_price(item.price),))


def gone(kind: str, object_id: str) -> bytes:
    """Return what Stripe says of a deleted object, for one that it does not know (any more)."""
    return msgspec.json.encode({"id": object_id, "object": kind, "deleted": True})


def _customer(one: Customer, is_deleted: bool) -> Snapshot:
    values = {
        "livemode": one.livemode,
        "created": _time(one.created),
        "description": one.description,
        "email": one.email,
        "name": one.name,
        "default_source": _id(one.default_source),
        "invoice_settings_default_payment_method": _id(one.invoice_settings.default_payment_method),
        "missing": False,
        "metadata": _json(one.metadata),
    }
    return Snapshot("customer", one.id, values, customer=one.id, is_deleted=is_deleted)


def _product(one: Product, is_deleted: bool) -> Snapshot:
    values = {
        "livemode": one.livemode,
        "created": _time(one.created),
        "name": one.name,
        "active": one.active,
        "metadata": _json(one.metadata),
    }
    return Snapshot("product", one.id, values, is_deleted=is_deleted)


def _price(one: Price, is_deleted: bool = False) -> Snapshot:
    recurring = one.recurring
    values = {
        "livemode": one.livemode,
        "created": _time(one.created),
        "product": _id(one.product),
        "active": one.active,
        "currency": one.currency.lower(),
        "unit_amount": one.unit_amount,
        "type": one.type,
        "recurring_interval": recurring.interval if recurring else None,
        "recurring_interval_count": recurring.interval_count if recurring else None,
        "metadata": _json(one.metadata),
    }
    return Snapshot("price", one.id, values, is_deleted=is_deleted)


def _subscription(one: Subscription, is_deleted: bool) -> Snapshot:
    paused = (one.status_details and one.status_details.paused) or Paused()
    values = {
        "livemode": one.livemode,
        "created": _time(one.created),
        "customer": _id(one.customer),
        "status": one.status,
        "currency": _lower(one.currency),
        "collection_method": one.collection_method,
        "default_payment_method": _id(one.default_payment_method),
        "default_source": _id(one.default_source),
        "latest_invoice": _id(one.latest_invoice),
        "start_date": _time(one.start_date),
        "trial_start": _time(one.trial_start),
        "trial_end": _time(one.trial_end),
        "cancel_at": _time(one.cancel_at),
        "cancel_at_period_end": one.cancel_at_period_end,
        "canceled_at": _time(one.canceled_at),
        "ended_at": _time(one.ended_at),
        "paused_at": _time(paused.transitioned_at),
        "paused_reason": paused.subscription and paused.subscription.type,
        "metadata": _json(one.metadata),
    }
    rows = tuple(_item(item, one) for item in one.items.data)
    return Snapshot(
        "subscription",
        one.id,
        values,
        customer=_id(one.customer),
        is_deleted=is_deleted,
        children=Children(rows, is_complete=not one.items.has_more),
        embedded=tuple(_price(item.price) for item in one.items.data),
    )


def _item(item: Item, parent: Subscription) -> Mapping[str, Any]:
    """Return an item's row; its period is its own (today) or its subscription's (before)."""
    start = item.current_period_start or parent.current_period_start
    end = item.current_period_end or parent.current_period_end
    if not start or not end:
        raise PayloadError("subscription: neither it nor its item has the current period")
    return _item_row(item, start, end)


def _item_row(item: Item, start: int | None, end: int | None) -> Mapping[str, Any]:
    return {
        "id": item.id,
        "created": _time(item.created),
        "price": item.price.id,
        "quantity": item.quantity,
        "current_period_start": _time(start),
        "current_period_end": _time(end),
    }


def _invoice(one: Invoice, is_deleted: bool) -> Snapshot:
    values = {
        "livemode": one.livemode,
        "created": _time(one.created),
        "customer": _id(one.customer),
        "subscription": _subscription_of(one),
        "status": one.status,
        "currency": one.currency.lower(),
        "total": one.total,
        "amount_due": one.amount_due,
        "amount_paid": one.amount_paid,
        "amount_remaining": one.amount_remaining,
        "attempt_count": one.attempt_count,
        "billing_reason": one.billing_reason,
        "collection_method": one.collection_method,
        "default_payment_method": _id(one.default_payment_method),
        "default_source": _id(one.default_source),
        "due_date": _time(one.due_date),
        "number": one.number,
        "period_start": _time(one.period_start),
        "period_end": _time(one.period_end),
        **_status_facts(one),
        "metadata": _json(one.metadata),
    }
    return Snapshot(
        "invoice",
        one.id,
        values,
        customer=_id(one.customer),
        is_deleted=is_deleted,
        children=Children(tuple(map(_line, one.lines.data)), is_complete=not one.lines.has_more),
        embedded=tuple(_price(line.price) for line in one.lines.data if isinstance(line.price, Price)),
    )


def _status_facts(one: Invoice) -> Mapping[str, Any]:
    uncollectible = one.status_details.uncollectible if one.status_details else None
    transitions = one.status_transitions or StatusTransitions()
    return {
        "status_details_uncollectible_reason": uncollectible.reason if uncollectible else None,
        "status_transitions_finalized_at": _time(transitions.finalized_at),
        "status_transitions_marked_uncollectible_at": _time(transitions.marked_uncollectible_at),
    }


def _subscription_of(one: Invoice) -> str | None:
    if one.parent is UNSET and one.subscription is UNSET:
        raise PayloadError("invoice: it has neither `parent` nor `subscription`")
    details = one.parent.subscription_details if one.parent else None
    if details is not None:
        return _id(details.subscription)
    return _id(one.subscription or None)


def _line(line: Line) -> Mapping[str, Any]:
    origin = _origin(line)
    return {
        "id": line.id,
        "type": _line_type(line),
        **_charged(line),
        "invoice_item": _id(origin.invoice_item),
        "subscription": _id(origin.subscription),
        "subscription_item": _id(origin.subscription_item),
        "amount": line.amount,
        "currency": line.currency.lower(),
        "quantity": line.quantity,
        "period_start": _time(line.period.start) if line.period else None,
        "period_end": _time(line.period.end) if line.period else None,
    }


def _origin(line: Line) -> Line | LineDetails:
    """Return what says where a line comes from: its parent's details (today) or itself (before)."""
    if line.parent is None:
        return line
    return line.parent.subscription_item_details or line.parent.invoice_item_details or line


def _line_type(line: Line) -> str | None:
    if line.parent is None or line.parent.type is None:
        return line.type
    return LINE_TYPES.get(line.parent.type, line.parent.type)


def _charged(line: Line) -> Mapping[str, str | None]:
    if line.pricing is UNSET and line.price is UNSET:
        raise PayloadError("invoice: a line has neither `pricing` nor `price`")
    if isinstance(line.price, Price):
        return {"price": line.price.id, "product": _id(line.price.product)}
    details = line.pricing.price_details if line.pricing else None
    if details is None:
        return {"price": None, "product": None}
    return {"price": _id(details.price), "product": _id(details.product)}


def _time(seconds: int | None) -> datetime | None:
    """Return Unix seconds as a time; Stripe's 0 means that there is none."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _id(ref: Ref | None) -> str | None:
    return ref.id if isinstance(ref, Expanded) else ref


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _json(metadata: dict[str, Any] | None) -> str:
    return msgspec.json.encode(metadata or {}, order="deterministic").decode()


_decode_lone_item = msgspec.json.Decoder(LoneItem).decode

_Parse = Callable[[bytes | msgspec.Raw], Any]
_Build = Callable[[Any, bool], Snapshot]

_KINDS: dict[str, tuple[_Parse, _Build]] = {
    "customer": (msgspec.json.Decoder(Customer).decode, _customer),
    "product": (msgspec.json.Decoder(Product).decode, _product),
    "price": (msgspec.json.Decoder(Price).decode, _price),
    "subscription": (msgspec.json.Decoder(Subscription).decode, _subscription),
    "invoice": (msgspec.json.Decoder(Invoice).decode, _invoice),
}
