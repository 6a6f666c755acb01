"""Every table, one file a Postgres schema; data only.

Importing this package registers all tables with `SQLModel.metadata`; the migrations compare against it.
"""

from mainstem.common.models import billing, contact, gateway, inbox, outbox, stripe, subscription

SCHEMAS = ("inbox", "stripe", "subscription", "contact", "billing", "gateway", "outbox")
"""The schemas that Mainstem owns in its database, besides `mainstem`, which holds the schema's version."""

__all__ = ["SCHEMAS", "billing", "contact", "gateway", "inbox", "outbox", "stripe", "subscription"]
