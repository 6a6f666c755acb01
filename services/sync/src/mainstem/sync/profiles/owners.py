"""Owners as ingest names them, and the contacts behind them."""

from collections.abc import Iterable
from uuid import UUID

from mainstem.common.database.pool import Connection
from mainstem.common.owner import normalise
from mainstem.sync.profiles.groups import IDENTITY_KINDS

OWNERS = """
SELECT owner.number, identity.contact_id
FROM contact.identity
JOIN unnest($1::varchar[], $2::varchar[]) WITH ORDINALITY AS owner (kind, value, number) USING (kind, value)
"""

OWNER_KINDS = {"email": "primary_email"}
"""Kinds of identity by ingest's name, where the contact API's name differs."""


OwnerKey = tuple[str, str]
"""Owner of a product subscription, as ingest writes it: (kind, value)."""


async def find_owners(connection: Connection, owners: Iterable[OwnerKey]) -> dict[OwnerKey, list[UUID]]:
    """Return the contacts behind these owners of ingest's; who has none is left out."""
    known = {owner: identity for owner in owners if (identity := _identity_of(owner)) is not None}
    kinds, values = [kind for kind, _ in known.values()], [value for _, value in known.values()]
    ordered, found = list(known), dict[OwnerKey, list[UUID]]()
    for row in await connection.fetch(OWNERS, kinds, values):
        found.setdefault(ordered[row["number"] - 1], []).append(row["contact_id"])
    return found


def _identity_of(owner: OwnerKey) -> tuple[str, str] | None:
    name = OWNER_KINDS.get(owner[0], owner[0])
    return (name, normalise(name, owner[1])) if name in IDENTITY_KINDS else None
