"""Reading what a contact subscribes to, from ingest's view `subscription.v1_product_subscription`."""

from collections.abc import Sequence

from mainstem.common.database import Connection
from mainstem.sync.profile import Product

COLUMNS = ", ".join(Product.__slots__)

READ = f"""
SELECT {COLUMNS}
FROM subscription.v1_product_subscription
JOIN unnest($1::varchar[], $2::varchar[]) AS owner (owner_kind, owner_value) USING (owner_kind, owner_value)
"""  # noqa: S608 -- names of this package's own fields


async def read(connection: Connection, owners: Sequence[tuple[str, str]]) -> list[Product]:
    """Return every product subscription of these owners, in no order."""
    kinds, values = [kind for kind, _ in owners], [value for _, value in owners]
    return [Product(**row) for row in await connection.fetch(READ, kinds, values)]
