"""Schema `inbox`: received events, each once, and accounts. Writer: ingest; others may insert events."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from mainstem.common.models.columns import ROOM, Leased, integer, sequence

TURN = ("provider", "account", "due_at", "id")
"""Accounts take turns: claims go from one to the next by these indexes."""


class Account(SQLModel, table=True):
    """Account at a provider, and the source of its facts in the mirror: `fetch` or `payload`.

    A change of mode raises the epoch, so that everything read in the new mode is newer.
    `provider_id` is its id at the provider, `livemode` its side, both null until they are known. A connected
    account has its parent's side; its own counts while that is null.
    `parent` is the account at whose endpoint a connected account's events come in; null for a configured one.
    `problem` is the reason why nothing of the account is processed; null while it is processed.
    """

    __tablename__ = "account"
    __table_args__ = (
        Index("account_stopped", "provider", "account", postgresql_where=text("problem IS NOT NULL")),
        {"schema": "inbox"},
    )

    provider: str = Field(primary_key=True)
    account: str = Field(primary_key=True)
    mode: str
    epoch: int = integer(0)
    parent: str | None = None
    provider_id: str | None = None
    livemode: bool | None = None
    problem: str | None = None


class Event(Leased, table=True):
    """One signed event (or hint of our own), its exact bytes and what became of it.

    `status` is one of received, done, ignored, dead. `account` is never null, so that the
    unique key holds. `id` is the order of recording.
    """

    __tablename__ = "event"
    __table_args__ = (
        UniqueConstraint("provider", "account", "event_id", name="event_once"),
        Index("event_live", *TURN, postgresql_where=text("status = 'received' AND failures = 0")),
        Index("event_retry", *TURN, postgresql_where=text("status = 'received' AND failures > 0")),
        {"schema": "inbox", **ROOM},
    )

    id: int | None = sequence()
    provider: str
    account: str
    event_id: str
    type: str
    object_type: str | None = None
    object_id: str | None = None
    created: datetime | None = None
    api_version: str | None = None
    livemode: bool | None = None
    body: bytes
    traceparent: str | None = None
    status: str
    recorded_at: datetime
    done_at: datetime | None = None
