"""Schema `subscription`: our conclusions over all providers. Writer: ingest; readers take the `v1_` views."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from mainstem.common.models.columns import ROOM, big_integer, json_field, sequence


class Owner(SQLModel, table=True):
    """Owner of a provider's customer: the link that ingest computed when it last derived it.

    `created` is the customer's: a rule set may count only the newest of several customers with one link.
    """

    __tablename__ = "owner"
    __table_args__ = (Index("owner_by_link", "kind", "value"), {"schema": "subscription"})

    provider: str = Field(primary_key=True)
    account: str = Field(primary_key=True)
    customer: str = Field(primary_key=True)
    kind: str
    value: str
    created: datetime | None = None


class ProductSubscription(SQLModel, table=True):
    """Product subscription of one owner: one row a product, from the latest of its subscription items.

    The columns are those of the CTMS v1.1.0 product table; `subscription_id` and `item_id` say which
    entry was the latest, `rules` names the rule set of the conclusion.
    """

    __tablename__ = "product_subscription"
    __table_args__ = {"schema": "subscription", **ROOM}

    owner_kind: str = Field(primary_key=True)
    owner_value: str = Field(primary_key=True)
    payment_service: str = Field(primary_key=True)
    account: str = Field(primary_key=True)
    product_id: str = Field(primary_key=True)
    customer: str
    subscription_id: str
    item_id: str
    segment: str
    changed: datetime
    sub_count: int
    price_id: str | None = None
    currency: str | None = None
    amount: int | None = big_integer()
    interval: str | None = None
    interval_count: int | None = None
    status: str | None = None
    created: datetime | None = None
    start: datetime | None = None
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None
    canceled_at: datetime | None = None
    cancel_at_period_end: bool | None = None
    ended_at: datetime | None = None
    rules: str
    derived_at: datetime


class RuleActivation(SQLModel, table=True):
    """Activation of a rule set: the newest row is the active set, the others are its history.

    `rules` is the set itself, so that every release derives by the same data; `digest` is its SHA-256.
    After an activation a walk derives every owner again, in the order of (kind, value): `walked_kind` and
    `walked_value` are the last owner that it reached, and `completed_at` is set when none is left.
    """

    __tablename__ = "rule_activation"
    __table_args__ = {"schema": "subscription"}

    id: int | None = sequence()
    name: str
    digest: str
    rules: dict[str, Any] = json_field("rules", nullable=False)
    activated_at: datetime
    walked_kind: str | None = None
    walked_value: str | None = None
    completed_at: datetime | None = None
