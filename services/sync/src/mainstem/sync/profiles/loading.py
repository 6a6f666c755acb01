"""Loading of profiles (stop 8): contacts and their products, as they stood at one moment.

One statement reads it, so that nothing of it is older than the rest, and it makes no objects but those that
are needed: this is hot.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from mainstem.common.database.pool import Connection
from mainstem.sync.profiles.groups import GROUPS, Contact, Newsletter, Span
from mainstem.sync.profiles.owners import OWNER_KINDS
from mainstem.sync.profiles.profile import Product, Profile, build

ALIASES = " ".join(f"WHEN '{kind}' THEN '{alias}'" for alias, kind in OWNER_KINDS.items())

READ = f"""
SELECT contact_id, json_build_object(
  'groups', (
    SELECT json_agg(part) FROM (
      SELECT name, data, created_at, updated_at FROM contact.contact_group
      WHERE contact_group.contact_id = asked.contact_id
    ) AS part
  ),
  'newsletters', (
    SELECT json_agg(part) FROM (
      SELECT {", ".join(Newsletter.model_fields)} FROM contact.newsletter
      WHERE newsletter.contact_id = asked.contact_id
    ) AS part
  ),
  'products', (
    SELECT json_agg(part) FROM (
      SELECT {", ".join(Product.__slots__)}
      FROM contact.identity
      CROSS JOIN LATERAL (VALUES (kind), (CASE kind {ALIASES} END)) AS owner (kind)
      JOIN subscription.v1_product_subscription ON owner_kind = owner.kind AND owner_value = identity.value
      WHERE identity.contact_id = asked.contact_id
    ) AS part
  )
)::text AS parts
FROM unnest($1::uuid[]) AS asked (contact_id)
"""  # noqa: S608 -- names of this package's own fields


class GroupPart(msgspec.Struct):
    """A group as it is stored."""

    name: str
    data: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class Parts(msgspec.Struct):
    """Stored parts of a contact; None where nothing is stored."""

    groups: list[GroupPart] | None
    newsletters: list[dict[str, Any]] | None
    products: list[Product] | None


_decoder = msgspec.json.Decoder(Parts)


async def read(connection: Connection, contact_ids: Sequence[UUID]) -> list[str]:
    """Return what is stored of each contact, in their order and as JSON, for `profile_of`."""
    rows = await connection.fetch(READ, contact_ids)
    parts = {row["contact_id"]: row["parts"] for row in rows}
    return [parts[contact_id] for contact_id in contact_ids]


def profile_of(contact_id: UUID, stored: str) -> Profile | None:
    """Return the profile that was read; None if there is no such contact, which then has no group."""
    parts = _decoder.decode(stored)
    if not parts.groups:
        return None
    newsletters = [Newsletter.model_validate(one) for one in parts.newsletters or ()]
    contact = Contact(
        contact_id=contact_id,
        groups={one.name: GROUPS[one.name].model_validate(one.data) for one in parts.groups},
        newsletters={one.name: one for one in newsletters},
        spans={one.name: Span(one.created_at, one.updated_at) for one in parts.groups},
    )
    return build(contact, parts.products or ())
