"""Schema `stripe`: Stripe's objects under Stripe's names, no foreign keys. Writer: ingest.

Rows come in any order, so nothing refers to anything. A column has an index only if some query uses it.
Times are Stripe's seconds as timestamps; amounts are in the currency's minor unit.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, PrimaryKeyConstraint, SmallInteger, text
from sqlmodel import Field, SQLModel

from mainstem.common.models.columns import ROOM, Versioned, big_integer, json_field, sequence


class Customer(Versioned, table=True):
    """A payer at Stripe.

    `missing` says that Stripe denied having the customer; a deleted one is shown as deleted. A missing
    customer ends no subscription.
    Source: https://docs.stripe.com/api/customers/object, https://docs.stripe.com/api/customers/retrieve
    """

    __tablename__ = "customer"
    __table_args__ = {"schema": "stripe", **ROOM}

    description: str | None = None
    email: str | None = None
    name: str | None = None
    default_source: str | None = None
    invoice_settings_default_payment_method: str | None = None
    missing: bool | None = None
    metadata_: dict[str, Any] | None = json_field("metadata")


class Product(Versioned, table=True):
    """Something that is sold.

    Source: https://docs.stripe.com/api/products/object
    """

    __tablename__ = "product"
    __table_args__ = {"schema": "stripe"}

    name: str | None = None
    active: bool | None = None
    metadata_: dict[str, Any] | None = json_field("metadata")


class Price(Versioned, table=True):
    """Price of a product, and its interval.

    Source: https://docs.stripe.com/api/prices/object
    """

    __tablename__ = "price"
    __table_args__ = {"schema": "stripe"}

    product: str | None = None
    active: bool | None = None
    currency: str | None = None
    unit_amount: int | None = big_integer()
    type: str | None = None
    recurring_interval: str | None = None
    recurring_interval_count: int | None = None
    metadata_: dict[str, Any] | None = json_field("metadata")


class Subscription(Versioned, table=True):
    """A customer's running agreement; its periods stand on its items, in both eras of Stripe's shapes.

    `incomplete_items` says that not all items were seen. `paused_at` and `paused_reason` are
    `status_details.paused.transitioned_at` and `status_details.paused.subscription.type`.
    Source: https://docs.stripe.com/api/subscriptions/object
    """

    __tablename__ = "subscription"
    __table_args__ = (Index("subscription_by_customer", "account", "customer"), {"schema": "stripe", **ROOM})

    customer: str | None = None
    status: str | None = None
    currency: str | None = None
    collection_method: str | None = None
    default_payment_method: str | None = None
    default_source: str | None = None
    latest_invoice: str | None = None
    start_date: datetime | None = None
    trial_start: datetime | None = None
    trial_end: datetime | None = None
    cancel_at: datetime | None = None
    cancel_at_period_end: bool | None = None
    canceled_at: datetime | None = None
    ended_at: datetime | None = None
    paused_at: datetime | None = None
    paused_reason: str | None = None
    metadata_: dict[str, Any] | None = json_field("metadata")
    incomplete_items: bool = False


class SubscriptionItem(SQLModel, table=True):
    """One price in a subscription, with its period; comes and goes with an accepted subscription.

    It may also come alone, newer than its subscription; then its period may be absent. The version
    `(epoch, at, rank, key)` is that of the copy that last changed the row.
    Source: https://docs.stripe.com/api/subscription_items/object
    """

    __tablename__ = "subscription_item"
    __table_args__ = (
        Index("subscription_item_by_subscription", "account", "subscription"),
        {"schema": "stripe", **ROOM},
    )

    account: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    epoch: int
    at: datetime
    rank: int = Field(sa_type=SmallInteger)
    key: str
    subscription: str
    created: datetime | None = None
    price: str | None = None
    quantity: int | None = big_integer()
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None


class Invoice(Versioned, table=True):
    """A bill.

    Source: https://docs.stripe.com/api/invoices/object
    """

    __tablename__ = "invoice"
    __table_args__ = (
        Index(
            "invoice_unpaid",
            "account",
            "customer",
            postgresql_where=text("status IN ('open', 'uncollectible')"),
        ),
        {"schema": "stripe", **ROOM},
    )

    customer: str | None = None
    subscription: str | None = None
    status: str | None = None
    currency: str | None = None
    total: int | None = big_integer()
    amount_due: int | None = big_integer()
    amount_paid: int | None = big_integer()
    amount_remaining: int | None = big_integer()
    attempt_count: int | None = None
    billing_reason: str | None = None
    collection_method: str | None = None
    default_payment_method: str | None = None
    default_source: str | None = None
    due_date: datetime | None = None
    number: str | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None
    status_details_uncollectible_reason: str | None = None
    status_transitions_finalized_at: datetime | None = None
    status_transitions_marked_uncollectible_at: datetime | None = None
    metadata_: dict[str, Any] | None = json_field("metadata")
    incomplete_lines: bool = False


class InvoiceLine(SQLModel, table=True):
    """One line of a bill; comes and goes with an accepted invoice only.

    Source: https://docs.stripe.com/api/invoice-line-item/object
    """

    __tablename__ = "invoice_line"
    __table_args__ = (Index("invoice_line_by_invoice", "account", "invoice"), {"schema": "stripe"})

    account: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    invoice: str
    type: str | None = None
    price: str | None = None
    product: str | None = None
    invoice_item: str | None = None
    subscription: str | None = None
    subscription_item: str | None = None
    amount: int | None = big_integer()
    currency: str | None = None
    quantity: int | None = big_integer()
    period_start: datetime | None = None
    period_end: datetime | None = None


class Revision(SQLModel, table=True):
    """One distinct version of an object that was seen, from `valid_from` on.

    The bytes are the inbox event's while that lives (`event`), else `body`.
    Unique by (account, object, valid_from, content_hash): a partitioned table cannot say so by itself,
    therefore it is inserted under the object's lock, where it is absent.
    """

    __tablename__ = "revision"
    __table_args__ = (
        PrimaryKeyConstraint("id", "recorded_at"),
        Index("revision_by_object", "account", "object_id", "valid_from"),
        {"schema": "stripe", "postgresql_partition_by": "RANGE (recorded_at)"},
    )

    id: int | None = sequence()
    recorded_at: datetime = Field(primary_key=True)
    account: str
    object_type: str
    object_id: str
    valid_from: datetime
    content_hash: bytes
    event: int | None = big_integer()
    body: bytes | None = None
