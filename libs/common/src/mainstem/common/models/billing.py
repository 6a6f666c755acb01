"""Schema `billing`: accounts, reservations of checkouts, and operations at providers. Writer: billing."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from mainstem.common.models.columns import Leased, integer, json_field, texts

LIVE = "status IN ('creating', 'open')"
"""Condition of reservations that still hold their account's place for a product."""
WANTED = "status = 'wanted'"


class Account(SQLModel, table=True):
    """A payer: whom an application sells to, and the customer that stands for it at Stripe.

    `asked` is what was last asked for when its customer was to be made, and `asked_at` since when: while
    there is no `stripe_customer_id`, Stripe may or may not have made it. `customers` counts those that
    were to be made.
    """

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("owner_kind", "owner_value", name="account_by_owner"),
        UniqueConstraint("stripe_customer_id", name="account_by_customer"),
        {"schema": "billing"},
    )

    id: UUID = Field(primary_key=True)
    owner_kind: str
    owner_value: str
    email: str
    login: str | None = None
    provider_account: str
    stripe_customer_id: str | None = None
    asked: dict[str, Any] | None = json_field("asked")
    asked_at: datetime | None = None
    customers: int = integer(1)
    created_at: datetime
    updated_at: datetime


class Reservation(Leased, table=True):
    """A checkout of one product by one account: at most one that is live, however often it is asked for.

    `status` is one of creating, open, done, expired, failed. `attempt` is part of the idempotency key under
    which the session is made; `request` is what was asked for under it, null until that was sent. `hints`
    are those that were written when the session was found complete.
    """

    __tablename__ = "reservation"
    __table_args__ = (
        Index("reservation_live", "account_id", "product", unique=True, postgresql_where=text(LIVE)),
        Index("reservation_due", "due_at", postgresql_where=text(LIVE)),
        UniqueConstraint("session_id", name="reservation_by_session"),
        {"schema": "billing"},
    )

    id: UUID = Field(primary_key=True)
    account_id: UUID
    product: str
    price: str
    status: str
    attempt: int = integer(1)
    request: dict[str, Any] | None = json_field("request")
    requested_at: datetime | None = None
    session_id: str | None = None
    url: str | None = None
    expires_at: datetime | None = None
    hints: list[str] = texts()
    created_at: datetime
    updated_at: datetime


class Operation(Leased, table=True):
    """Something that is to be done to an object at a provider, written down before it is tried.

    `status` is one of wanted, done, failed. `attempt` is part of the idempotency key. `wanted_at` is the time
    of the last wish for it: a cancellation that is newer is not taken back.
    """

    __tablename__ = "operation"
    __table_args__ = (
        Index("operation_wanted", "kind", "object_id", unique=True, postgresql_where=text(WANTED)),
        Index("operation_due", "due_at", postgresql_where=text(WANTED)),
        {"schema": "billing"},
    )

    id: UUID = Field(primary_key=True)
    account_id: UUID
    kind: str
    object_type: str
    object_id: str
    status: str
    attempt: int = integer(1)
    traceparent: str | None = None
    created_at: datetime
    wanted_at: datetime
    done_at: datetime | None = None
