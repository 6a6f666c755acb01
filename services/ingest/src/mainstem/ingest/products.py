"""Product subscriptions: derived from the mirror as it now stands, written where they changed (stop 5)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mainstem.common.database import Connection
from mainstem.common.owner import Link
from mainstem.ingest.derive import Entry, Product, derive

ENTRIES = """
WITH holder AS (
  SELECT DISTINCT ON (owner.account, link.kind, link.value)
    owner.account, link.kind, link.value, owner.customer
  FROM unnest($2::varchar[], $3::varchar[]) AS link (kind, value)
  CROSS JOIN LATERAL (
    SELECT account, customer, created FROM subscription.owner
    WHERE kind = link.kind AND value = link.value AND provider = $1 OFFSET 0
  ) AS owner
  ORDER BY owner.account, link.kind, link.value,
    owner.created DESC NULLS LAST, owner.customer COLLATE "C" DESC
)
SELECT holder.kind AS owner_kind, holder.value AS owner_value, holder.account, holder.customer,
  sub.id AS subscription_id, item.id AS item_id, price.product AS product_id, sub.status, sub.created,
  sub.start_date, sub.canceled_at, sub.ended_at, sub.cancel_at_period_end,
  coalesce(item.current_period_start, max(item.current_period_start) OVER siblings) AS current_period_start,
  coalesce(item.current_period_end, max(item.current_period_end) OVER siblings) AS current_period_end,
  price.id AS price_id, price.currency,
  price.unit_amount AS amount, price.recurring_interval AS interval,
  price.recurring_interval_count AS interval_count
FROM holder
CROSS JOIN LATERAL (
  SELECT * FROM stripe.subscription
  WHERE account = holder.account AND customer = holder.customer AND NOT deleted OFFSET 0
) AS sub
CROSS JOIN LATERAL (
  SELECT * FROM stripe.subscription_item WHERE account = sub.account AND subscription = sub.id OFFSET 0
) AS item
CROSS JOIN LATERAL (
  SELECT * FROM stripe.price
  WHERE account = item.account AND id = item.price AND product IS NOT NULL OFFSET 0
) AS price
WINDOW siblings AS (PARTITION BY sub.account, sub.id)
"""
"""A customer's tombstone changes nothing here; a subscription that is gone is none.

An item that came without its subscription may have no period of its own; its siblings' is its too.
`OFFSET 0` holds the planner to this order, each step by its whole key: before the first ANALYZE it takes
`account` alone for selective, and reads everything for each row.
"""

KEY = {
    "owner_kind": "varchar",
    "owner_value": "varchar",
    "payment_service": "varchar",
    "account": "varchar",
    "product_id": "varchar",
}
VALUES = {
    "customer": "varchar",
    "subscription_id": "varchar",
    "item_id": "varchar",
    "segment": "varchar",
    "changed": "timestamptz",
    "sub_count": "integer",
    "price_id": "varchar",
    "currency": "varchar",
    "amount": "bigint",
    "interval": "varchar",
    "interval_count": "integer",
    "status": "varchar",
    "created": "timestamptz",
    "start": "timestamptz",
    "current_period_start": "timestamptz",
    "current_period_end": "timestamptz",
    "canceled_at": "timestamptz",
    "cancel_at_period_end": "boolean",
    "ended_at": "timestamptz",
}
COLUMNS = {**KEY, **VALUES}


def _arrays(columns: Mapping[str, str], first: int) -> str:
    return ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(columns.values(), first))


_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)

STORED = f"""
SELECT stored.* FROM unnest($2::varchar[], $3::varchar[]) AS link (kind, value)
CROSS JOIN LATERAL (
  SELECT {_NAMES} FROM subscription.product_subscription
  WHERE owner_kind = link.kind AND owner_value = link.value AND payment_service = $1 OFFSET 0
) AS stored
"""  # noqa: S608 -- made of the tables above alone, as are all below

UPSERT = f"""
INSERT INTO subscription.product_subscription ({_NAMES}, derived_at)
SELECT new.*, $1 FROM unnest({_arrays(COLUMNS, 2)}) AS new
ON CONFLICT ({", ".join(KEY)}) DO UPDATE
SET {", ".join(f'"{name}" = excluded."{name}"' for name in VALUES)}, derived_at = excluded.derived_at
"""  # noqa: S608 -- see above

DELETE = f"""
DELETE FROM subscription.product_subscription AS old
USING unnest({_arrays(KEY, 1)}) AS gone ({", ".join(KEY)})
WHERE {" AND ".join(f"old.{name} = gone.{name}" for name in KEY)}
"""  # noqa: S608 -- see above

_Row = tuple[Any, ...]
_Holder = tuple[str, str, str, str]


async def rederive(connection: Connection, provider: str, links: Iterable[Link], now: datetime) -> set[Link]:
    """Derive what these owners have, write what changed and return whose did. Safe to repeat.

    The caller holds the locks of these links and has written the mirror and the owners before.
    """
    ordered = sorted(set(links))
    if not ordered:
        return set()
    kinds, values = [link.kind for link in ordered], [link.value for link in ordered]
    entries = await connection.fetch(ENTRIES, provider, kinds, values)
    stored = await connection.fetch(STORED, provider, kinds, values)
    return await _write(
        connection, _by_key(map(tuple, stored)), _by_key(_derived(provider, map(dict, entries))), now
    )


async def _write(
    connection: Connection, stored: Mapping[_Row, _Row], derived: Mapping[_Row, _Row], now: datetime
) -> set[Link]:
    changed = [row for key, row in sorted(derived.items()) if stored.get(key) != row]
    gone = sorted(stored.keys() - derived.keys())
    if changed:
        await connection.execute(UPSERT, now, *_transposed(changed))
    if gone:
        await connection.execute(DELETE, *_transposed(gone))
    return {Link(row[0], row[1]) for row in (*changed, *gone)}


def _derived(provider: str, entries: Iterable[Mapping[str, Any]]) -> Iterable[_Row]:
    by_holder: dict[_Holder, list[Entry]] = defaultdict(list)
    for row in entries:
        holder = (row["owner_kind"], row["owner_value"], row["account"], row["customer"])
        by_holder[holder].append(Entry(**{name: row[name] for name in Entry.__slots__}))
    for holder, of_holder in by_holder.items():
        for product in derive(of_holder):
            yield _row(provider, holder, product)


def _row(provider: str, holder: _Holder, product: Product) -> _Row:
    kind, value, account, customer = holder
    latest = product.latest
    known = {
        "owner_kind": kind,
        "owner_value": value,
        "payment_service": provider,
        "account": account,
        "customer": customer,
        "segment": product.segment,
        "changed": product.changed,
        "sub_count": product.sub_count,
        "start": latest.start_date,
    }
    return tuple(known[name] if name in known else getattr(latest, name) for name in COLUMNS)


def _by_key(rows: Iterable[_Row]) -> dict[_Row, _Row]:
    return {row[: len(KEY)]: row for row in rows}


def _transposed(rows: Sequence[_Row]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
