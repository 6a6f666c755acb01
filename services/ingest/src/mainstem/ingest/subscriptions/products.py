"""Product subscriptions: concluded from the mirror as it now stands, written where they changed (stop 5)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from mainstem.common.database.pool import Connection
from mainstem.common.owner import Link
from mainstem.ingest.subscriptions.derive import DerivedProduct, Entry, Payer, derive
from mainstem.ingest.subscriptions.language import RuleSet

ENTRIES = """
WITH payer AS (
  SELECT link.kind, link.value, owner.account, owner.customer, owner.created,
    coalesce(mirror.deleted AND mirror.missing IS NOT TRUE, false) AS is_deleted
  FROM unnest($2::varchar[], $3::varchar[]) AS link (kind, value)
  CROSS JOIN LATERAL (
    SELECT account, customer, created FROM subscription.owner
    WHERE kind = link.kind AND value = link.value AND provider = $1 OFFSET 0
  ) AS owner
  LEFT JOIN LATERAL (
    SELECT deleted, missing FROM stripe.customer
    WHERE account = owner.account AND id = owner.customer OFFSET 0
  ) AS mirror ON true
)
SELECT payer.kind AS owner_kind, payer.value AS owner_value, payer.account, payer.customer,
  payer.created AS customer_created, payer.is_deleted, entry.*
FROM payer
LEFT JOIN LATERAL (
  SELECT sub.id AS subscription_id, item.id AS item_id, price.product AS product_id, sub.status,
    sub.paused_reason, sub.created, sub.start_date, sub.cancel_at, sub.canceled_at, sub.ended_at,
    sub.paused_at, sub.cancel_at_period_end,
    coalesce(item.current_period_start, max(item.current_period_start) OVER siblings) AS current_period_start,
    coalesce(item.current_period_end, max(item.current_period_end) OVER siblings) AS current_period_end,
    price.id AS price_id, price.currency,
    price.unit_amount AS amount, price.recurring_interval AS interval,
    price.recurring_interval_count AS interval_count
  FROM (
    SELECT * FROM stripe.subscription
    WHERE account = payer.account AND customer = payer.customer AND NOT deleted OFFSET 0
  ) AS sub
  CROSS JOIN LATERAL (
    SELECT * FROM stripe.subscription_item
    WHERE account = sub.account AND subscription = sub.id OFFSET 0
  ) AS item
  CROSS JOIN LATERAL (
    SELECT * FROM stripe.price
    WHERE account = item.account AND id = item.price AND product IS NOT NULL OFFSET 0
  ) AS price
  WINDOW siblings AS (PARTITION BY sub.id)
  OFFSET 0
) AS entry ON true
"""
"""All customers of each link, each with all its entries; a customer without any is one row of NULLs.

Which customers count is the rule set's choice. A subscription that is gone is none.
A customer that Stripe denies having, and does not show as deleted, is none that was deleted.
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
    "rules": "varchar",
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
_Rows = Mapping[_Row, _Row]

_RULES = list(COLUMNS).index("rules")


class Conclusions(NamedTuple):
    """Rows of `product_subscription` by their key: as stored, and as a rule set concludes them now."""

    stored: _Rows
    derived: _Rows


async def conclude(
    connection: Connection, provider: str, links: Sequence[Link], rules: RuleSet
) -> Conclusions:
    """Return the rows of these owners, stored and derived; nothing is written."""
    kinds, values = [link.kind for link in links], [link.value for link in links]
    entries = await connection.fetch(ENTRIES, provider, kinds, values)
    stored = await connection.fetch(STORED, provider, kinds, values)
    derived = _derived(provider, rules, [dict(row) for row in entries])
    return Conclusions(_by_key(map(tuple, stored)), _by_key(derived))


async def rederive(
    connection: Connection, provider: str, links: Iterable[Link], rules: RuleSet, now: datetime
) -> set[Link]:
    """Derive the products of these owners by a rule set and write what changed. Safe to repeat.

    The caller holds the locks of the active set and of these links, and has written the mirror and the
    owners before.
    Returns the owners of which more changed than the name of the set.
    """
    ordered = sorted(set(links))
    if not ordered:
        return set()
    stored, derived = await conclude(connection, provider, ordered, rules)
    changed = [row for key, row in sorted(derived.items()) if stored.get(key) != row]
    gone = sorted(stored.keys() - derived.keys())
    if changed:
        await connection.execute(UPSERT, now, *_transposed(changed))
    if gone:
        await connection.execute(DELETE, *_transposed(gone))
    different = [row for row in changed if differs(stored.get(row[: len(KEY)]), row)]
    return {Link(row[0], row[1]) for row in (*different, *gone)}


def differs(old: _Row | None, new: _Row | None) -> bool:
    """Return whether two rows differ in more than the name of the set that concluded them."""
    if old is None or new is None:
        return old is not new
    return old[:_RULES] != new[:_RULES] or old[_RULES + 1 :] != new[_RULES + 1 :]


def _derived(provider: str, rules: RuleSet, rows: Iterable[Mapping[str, Any]]) -> Iterable[_Row]:
    by_owner: dict[tuple[str, str, str], dict[str, Payer]] = defaultdict(dict)
    for row in rows:
        payers = by_owner[row["owner_kind"], row["owner_value"], row["account"]]
        if row["customer"] not in payers:
            payers[row["customer"]] = Payer(
                row["customer"], row["customer_created"], row["is_deleted"], entries=[]
            )
        if row["item_id"] is not None:
            payers[row["customer"]].entries.append(Entry(**{name: row[name] for name in Entry.__slots__}))
    for owner, payers in by_owner.items():
        for product in derive(rules, payers.values()):
            yield _row(provider, owner, product, rules)


def _row(provider: str, owner: tuple[str, str, str], product: DerivedProduct, rules: RuleSet) -> _Row:
    kind, value, account = owner
    latest = product.latest
    known = {
        "owner_kind": kind,
        "owner_value": value,
        "payment_service": provider,
        "account": account,
        "segment": product.segment,
        "changed": product.changed,
        "sub_count": product.sub_count,
        "start": latest.start_date,
        "cancel_at_period_end": product.cancel_at_period_end,
        "rules": rules.name,
    }
    return tuple(known[name] if name in known else getattr(latest, name) for name in COLUMNS)


def _by_key(rows: Iterable[_Row]) -> dict[_Row, _Row]:
    return {row[: len(KEY)]: row for row in rows}


def _transposed(rows: Sequence[_Row]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
