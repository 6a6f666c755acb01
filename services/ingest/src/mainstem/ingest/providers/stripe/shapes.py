"""Stripe's objects as typed structs, in both eras of its shapes; an absent field that is required fails.

Until 2025-03-31 a subscription has the period and an invoice names its subscription; since then the items
have it and the invoice's `parent` does. https://docs.stripe.com/changelog/basil
A struct lists what the mirror keeps; everything else in a body is skipped.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

Amount = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, lt=2**31)]
END_OF_TIME = 253_402_300_800
"""The year 10000 in Unix time, which a `datetime` does not reach."""

Seconds = Annotated[int, Meta(ge=0, lt=END_OF_TIME)]
"""Unix time."""
Metadata = dict[str, Any]
Id = Annotated[str, Meta(max_length=255)]
"""An index holds ids, and Postgres limits what an index holds. https://docs.stripe.com/upgrades"""
Text = Annotated[str, Meta(max_length=5_000)]
"""The limit that Stripe's own OpenAPI description gives its texts. https://github.com/stripe/openapi"""


class Expanded(msgspec.Struct):
    """An object in the place of its id."""

    id: Id


Ref = Id | Expanded


class Deleted(msgspec.Struct):
    """A deleted object as Stripe still shows it."""

    id: Id
    object: Text
    deleted: bool = False


class InvoiceSettings(msgspec.Struct):
    """A customer's means of paying invoices."""

    default_payment_method: Ref | None


class Customer(msgspec.Struct):
    """https://docs.stripe.com/api/customers/object."""

    id: Id
    created: Seconds
    description: Text | None
    default_source: Ref | None
    invoice_settings: InvoiceSettings
    livemode: bool | None = None
    email: Text | None = None
    name: Text | None = None
    metadata: Metadata | None = None


class Product(msgspec.Struct):
    """https://docs.stripe.com/api/products/object."""

    id: Id
    created: Seconds
    livemode: bool
    name: Text
    active: bool
    metadata: Metadata | None = None


class Recurring(msgspec.Struct):
    """The interval of a recurring price."""

    interval: Text
    interval_count: Count


class Price(msgspec.Struct):
    """https://docs.stripe.com/api/prices/object."""

    id: Id
    created: Seconds
    product: Ref
    active: bool
    currency: Text
    livemode: bool | None = None
    type: Text | None = None
    unit_amount: Amount | None = None
    recurring: Recurring | None = None
    metadata: Metadata | None = None


class Item(msgspec.Struct):
    """https://docs.stripe.com/api/subscription_items/object."""

    id: Id
    created: Seconds
    price: Price
    quantity: Amount | None = None
    current_period_start: Seconds | None = None
    current_period_end: Seconds | None = None


class LoneItem(Item, kw_only=True):
    """An item that comes without its subscription."""

    subscription: Id


class Items(msgspec.Struct):
    """A subscription's items, or the first of them."""

    data: list[Item]
    has_more: bool


class PauseDetails(msgspec.Struct):
    """Reason of a pause, such as `pause_requested` or `trial_end_without_payment_method`."""

    type: Text | None = None


class Paused(msgspec.Struct):
    """Time and reason of a pause."""

    transitioned_at: Seconds | None = None
    subscription: PauseDetails | None = None


class SubscriptionStatusDetails(msgspec.Struct):
    """https://docs.stripe.com/changelog/endive/2026-09-30/pause-subscription."""

    paused: Paused | None = None


class Subscription(msgspec.Struct):
    """https://docs.stripe.com/api/subscriptions/object."""

    id: Id
    created: Seconds
    customer: Ref
    status: Text
    start_date: Seconds
    cancel_at_period_end: bool
    canceled_at: Seconds | None
    ended_at: Seconds | None
    default_payment_method: Ref | None
    default_source: Ref | None
    items: Items
    livemode: bool | None = None
    currency: Text | None = None
    collection_method: Text | None = None
    latest_invoice: Ref | None = None
    trial_start: Seconds | None = None
    trial_end: Seconds | None = None
    cancel_at: Seconds | None = None
    current_period_start: Seconds | None = None
    current_period_end: Seconds | None = None
    status_details: SubscriptionStatusDetails | None = None
    metadata: Metadata | None = None


class LineDetails(msgspec.Struct):
    """The source of a line, in today's shape."""

    subscription: Ref | None = None
    subscription_item: Ref | None = None
    invoice_item: Ref | None = None


class LineParent(msgspec.Struct):
    """The parent of a line: its type and details, in today's shape."""

    type: Text | None
    subscription_item_details: LineDetails | None = None
    invoice_item_details: LineDetails | None = None


class PriceDetails(msgspec.Struct):
    """The price that a line charges, in today's shape."""

    price: Ref
    product: Ref | None = None


class Pricing(msgspec.Struct):
    """The basis of a line's amount, in today's shape."""

    price_details: PriceDetails | None = None


class Period(msgspec.Struct):
    """The period that a line's amount covers."""

    start: Seconds
    end: Seconds


class Line(msgspec.Struct):
    """https://docs.stripe.com/api/invoice-line-item/object."""

    id: Id
    amount: Amount
    currency: Text
    period: Period | None = None
    quantity: Amount | None = None
    pricing: Pricing | UnsetType | None = UNSET
    parent: LineParent | None = None
    price: Price | UnsetType | None = UNSET
    type: Text | None = None
    subscription: Ref | None = None
    subscription_item: Ref | None = None
    invoice_item: Ref | None = None


class Lines(msgspec.Struct):
    """An invoice's lines, or the first of them."""

    data: list[Line]
    has_more: bool


class InvoiceSubscription(msgspec.Struct):
    """The subscription that an invoice is for, in today's shape."""

    subscription: Ref | None = None


class InvoiceParent(msgspec.Struct):
    """The source of an invoice, in today's shape."""

    subscription_details: InvoiceSubscription | None = None


class Uncollectible(msgspec.Struct):
    """The cause of an uncollectible invoice; Stripe adds reasons over time."""

    reason: Text | None = None


class InvoiceStatusDetails(msgspec.Struct):
    """Present only on an uncollectible invoice, since 2026-09-30.endive.

    https://docs.stripe.com/changelog/endive/2026-09-30/invoice-uncollectible-status-detail
    """

    uncollectible: Uncollectible | None = None


class StatusTransitions(msgspec.Struct):
    """Instants at which an invoice changed its status."""

    finalized_at: Seconds | None = None
    marked_uncollectible_at: Seconds | None = None


class Invoice(msgspec.Struct):
    """https://docs.stripe.com/api/invoices/object."""

    id: Id
    created: Seconds
    customer: Ref | None
    currency: Text
    total: Amount
    status: Text | None
    default_payment_method: Ref | None
    default_source: Ref | None
    lines: Lines
    livemode: bool | None = None
    parent: InvoiceParent | UnsetType | None = UNSET
    subscription: Ref | UnsetType | None = UNSET
    amount_due: Amount | None = None
    amount_paid: Amount | None = None
    amount_remaining: Amount | None = None
    attempt_count: Count | None = None
    billing_reason: Text | None = None
    collection_method: Text | None = None
    due_date: Seconds | None = None
    number: Text | None = None
    period_start: Seconds | None = None
    period_end: Seconds | None = None
    status_details: InvoiceStatusDetails | None = None
    status_transitions: StatusTransitions | None = None
    metadata: Metadata | None = None
