"""Schema `contact`: contacts, their identities, and their deliveries to platforms. Writer: sync."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, PrimaryKeyConstraint, text
from sqlmodel import Field, SQLModel

from mainstem.common.models.columns import ROOM, Leased, big_integer, json_field, sequence, texts


class Contact(SQLModel, table=True):
    """A person. Everything known of them stands in groups, newsletters and identities."""

    __tablename__ = "contact"
    __table_args__ = {"schema": "contact"}

    contact_id: UUID = Field(primary_key=True)
    created_at: datetime
    updated_at: datetime


class ContactGroup(SQLModel, table=True):
    """The values of one registered group (`email`, `fxa`, …) of one contact; absent if all are defaults."""

    __tablename__ = "contact_group"
    __table_args__ = {"schema": "contact"}

    contact_id: UUID = Field(primary_key=True)
    name: str = Field(primary_key=True)
    data: dict[str, Any] = json_field("data", nullable=False)
    created_at: datetime
    updated_at: datetime


class Newsletter(SQLModel, table=True):
    """One newsletter that a contact has, or had."""

    __tablename__ = "newsletter"
    __table_args__ = {"schema": "contact"}

    contact_id: UUID = Field(primary_key=True)
    name: str = Field(primary_key=True)
    subscribed: bool
    format: str
    lang: str
    source: str | None = None
    unsub_reason: str | None = None
    created_at: datetime
    updated_at: datetime


class Identity(SQLModel, table=True):
    """One id of one contact, normalised for comparison (e-mail addresses in lower case).

    `exclusive` ids belong to one contact at a time.
    """

    __tablename__ = "identity"
    __table_args__ = (
        Index("identity_exclusive", "kind", "value", unique=True, postgresql_where=text("exclusive")),
        Index("identity_by_value", "kind", "value"),
        {"schema": "contact"},
    )

    contact_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    value: str
    exclusive: bool


class Delivery(Leased, table=True):
    """Delivery of one contact to one platform: due while `wanted > sent`.

    `base` maps each row sent last to the hash of its content; a null hash means that the platform's state
    is not known, so the row is sent again. `is_unknown`: the last request may or may not have taken effect;
    after the next success the contact is sent once more, at `confirm_at` (world time).
    `traceparents`: the traces of the changes that it is to deliver, the oldest first.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        Index("delivery_claimable", "failures", "due_at", postgresql_where=text("wanted > sent")),
        {"schema": "contact", **ROOM},
    )

    contact_id: UUID = Field(primary_key=True)
    platform: str = Field(primary_key=True)
    wanted: int = big_integer(0)
    sent: int = big_integer(0)
    base: dict[str, Any] | None = json_field("base")
    is_unknown: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    confirm_at: datetime | None = None
    traceparents: list[str] = texts()
    wanted_at: datetime
    sent_at: datetime | None = None


class DeliveryLog(SQLModel, table=True):
    """One answer (or the lack of one) of a platform to one request. Never holds personal data."""

    __tablename__ = "delivery_log"
    __table_args__ = (
        PrimaryKeyConstraint("id", "recorded_at"),
        Index("delivery_log_by_contact", "contact_id", "recorded_at"),
        {"schema": "contact", "postgresql_partition_by": "RANGE (recorded_at)"},
    )

    id: int | None = sequence()
    recorded_at: datetime = Field(primary_key=True)
    contact_id: UUID
    platform: str
    request: str
    outcome: str
    error: str | None = None
    duration_ms: int
    traceparent: str | None = None


class Slot(SQLModel, table=True):
    """One of the requests that a platform allows at once, leased by a worker. By Postgres' own time."""

    __tablename__ = "slot"
    __table_args__ = {"schema": "contact"}

    platform: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    lease_owner: str | None = None
    lease_token: UUID | None = None
    lease_expires_at: datetime | None = None


class SlotHolder(SQLModel, table=True):
    """A worker that shares a platform's slots: they are divided by how many of these are live."""

    __tablename__ = "slot_holder"
    __table_args__ = {"schema": "contact"}

    platform: str = Field(primary_key=True)
    owner: str = Field(primary_key=True)
    expires_at: datetime
