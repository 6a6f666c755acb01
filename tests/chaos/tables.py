"""What the system holds, read from its tables by the owner's login; Postgres may be away at any time."""

import asyncio
import json
from typing import Any

import asyncpg

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What a database raises that is away, or on its way."""

KNOWS = "SELECT true FROM stripe.customer WHERE id = $1 AND description = $2"
MIRROR = (
    "customer",
    "product",
    "price",
    "subscription",
    "subscription_item",
    "invoice",
    "invoice_line",
)
TWICE = """
SELECT account, object_id, valid_from FROM stripe.revision
GROUP BY account, object_id, valid_from, content_hash HAVING count(*) > 1
"""

Rows = dict[str, dict[str, Any]]


class Tables:
    """The database behind one connection, opened anew whenever it broke."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._lock = asyncio.Lock()

    async def count_events(self) -> int | None:
        """Return how many events are recorded, None while nobody can say."""
        rows = await self._find("SELECT count(*) FROM inbox.event")
        return None if rows is None else int(rows[0]["count"])

    async def knows(self, customer: str, link: str, seconds: float) -> bool:
        """Return whether the mirror gets to know this customer under this link in time."""
        for _ in range(int(seconds / 0.25)):
            if await self._find(KNOWS, customer, link):
                return True
            await asyncio.sleep(0.25)
        return False

    async def mirror(self, table: str) -> Rows:
        """Return the rows of a table of the mirror by their id."""
        rows = await self._get(f"SELECT * FROM stripe.{table}")
        return {row["id"]: {**row, **_metadata(row)} for row in map(dict, rows)}

    async def products(self) -> Rows:
        """Return the product subscriptions by owner and product."""
        rows = await self._get("SELECT * FROM subscription.product_subscription")
        return {f"{row['owner_value']} {row['product_id']}": dict(row) for row in rows}

    async def events(self) -> dict[str, str]:
        """Return the status of each recorded event, by Stripe's id."""
        return {
            row["event_id"]: row["status"]
            for row in await self._get("SELECT event_id, status FROM inbox.event WHERE provider = 'stripe'")
        }

    async def revisions_stored_twice(self) -> list[str]:
        """Return the objects of which one version is stored more than once."""
        return [str(row["object_id"]) for row in await self._get(TWICE)]

    async def count(self, what: str) -> int:
        """Return the number that a query answers."""
        return int((await self._get(what))[0][0])

    async def close(self) -> None:
        """Give the connection back; safe to repeat."""
        if self._connection is not None:
            self._connection.terminate()

    async def _get(self, query: str, *parameters: Any) -> list[Any]:
        while (rows := await self._find(query, *parameters)) is None:  # noqa: ASYNC110 -- Postgres sets no event
            await asyncio.sleep(0.5)
        return rows

    async def _find(self, query: str, *parameters: Any) -> list[Any] | None:
        async with self._lock:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(self._url, timeout=5, command_timeout=30)
                return list(await self._connection.fetch(query, *parameters))
            except AWAY:
                if self._connection is not None:
                    self._connection.terminate()
                self._connection = None
                return None


def _metadata(row: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": json.loads(row["metadata"] or "{}")} if "metadata" in row else {}
