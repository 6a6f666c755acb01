"""Schema `outbox`: announcements, one row a consumer. Every service inserts, the consumer settles."""

from datetime import datetime

from sqlalchemy import Index, text

from mainstem.common.models.columns import ROOM, Leased, sequence


class Entry(Leased, table=True):
    """One announcement for one consumer: outstanding while `settled_at` is null."""

    __tablename__ = "entry"
    __table_args__ = (
        Index(
            "entry_claimable",
            "consumer",
            "failures",
            "due_at",
            "id",
            postgresql_where=text("settled_at IS NULL"),
        ),
        {"schema": "outbox", **ROOM},
    )

    id: int | None = sequence()
    consumer: str
    topic: str
    key: str
    traceparent: str | None = None
    recorded_at: datetime
    settled_at: datetime | None = None
