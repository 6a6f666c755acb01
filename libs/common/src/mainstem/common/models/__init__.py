"""Tables, one file a Postgres schema; data only. Owns every column that Mainstem stores; importing the room
registers all tables with `SQLModel.metadata`, against which the migrations compare. Writes nothing: one
service writes each table, and each file names it. Imported by `common.migrations` and by sync's contacts.
"""

from mainstem.common.models import billing, contact, gateway, inbox, outbox, stripe, subscription

SCHEMAS = ("inbox", "stripe", "subscription", "contact", "billing", "gateway", "outbox")
"""The schemas that Mainstem owns in its database, besides `mainstem`, which holds the schema's version."""

__all__ = ["SCHEMAS", "billing", "contact", "gateway", "inbox", "outbox", "stripe", "subscription"]
