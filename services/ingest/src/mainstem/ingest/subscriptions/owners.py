"""Owners of a provider's customers: the link that one setting takes from a customer's fields (stop 5).

Several customers may have one link; which of them count is the active rule set's choice.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from mainstem.common.database.pool import Connection
from mainstem.common.owner import Link, Rule

_HELD = """
  SELECT named.account, found.customer, named.id FROM (
    SELECT account, id FROM unnest({}::varchar[], {}::varchar[]) AS given (account, id)
    UNION
    SELECT item.account, parent.subscription FROM unnest({}::varchar[], {}::varchar[]) AS item (account, id)
    CROSS JOIN LATERAL (
      SELECT subscription FROM stripe.subscription_item
      WHERE account = item.account AND id = item.id OFFSET 0
    ) AS parent
  ) AS named (account, id)
  CROSS JOIN LATERAL (
    SELECT customer FROM stripe.subscription
    WHERE account = named.account AND id = named.id AND customer IS NOT NULL OFFSET 0
  ) AS found
"""
"""Customers of stored subscriptions: of those that are named, and of those that have the named items."""

HOLDERS = f"SELECT account, customer FROM ({_HELD.format('$1', '$2', '$3', '$4')}) AS held"  # noqa: S608 -- constants of this module

FIND = f"""
WITH given AS (
  SELECT account, customer, NULL AS subscription
  FROM unnest($2::varchar[], $3::varchar[]) AS customers (account, customer)
  UNION ALL
  {_HELD.format("$4", "$5", "$6", "$7")}
)
SELECT given.account, given.customer, given.subscription,
  mirror.created, mirror.description, mirror.email, mirror.metadata, owner.kind, owner.value
FROM given
LEFT JOIN LATERAL (
  SELECT created, description, email, metadata FROM stripe.customer
  WHERE account = given.account AND id = given.customer OFFSET 0
) AS mirror ON true
LEFT JOIN LATERAL (
  SELECT kind, value FROM subscription.owner
  WHERE provider = $1 AND account = given.account AND customer = given.customer OFFSET 0
) AS owner ON true
"""  # noqa: S608 -- constants of this module
"""`OFFSET 0` holds the planner to look up each row by its whole key: before the first ANALYZE it takes
`account` alone for selective."""

UPSERT = """
INSERT INTO subscription.owner AS old (provider, account, customer, kind, value, created)
SELECT $1, * FROM unnest($2::varchar[], $3::varchar[], $4::varchar[], $5::varchar[], $6::timestamptz[])
ON CONFLICT (provider, account, customer) DO UPDATE
SET kind = excluded.kind, value = excluded.value, created = excluded.created
WHERE (old.kind, old.value, old.created) IS DISTINCT FROM (excluded.kind, excluded.value, excluded.created)
"""

DELETE = """
DELETE FROM subscription.owner AS old USING unnest($2::varchar[], $3::varchar[]) AS gone (account, customer)
WHERE old.provider = $1 AND old.account = gone.account AND old.customer = gone.customer
"""


class CustomerKey(NamedTuple):
    """One customer of one account."""

    account: str
    customer: str


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer that a batch concerns, as the database has it: its owner by the mirror and as last derived.

    `subscription` says through which stored subscription it was found, None for one that was named.
    """

    key: CustomerKey
    subscription: str | None
    created: datetime | None
    link: Link | None
    former_link: Link | None


class Owners:
    """The links of one provider's customers.

    `accounts`: those whose customers may name owners, None for all. A merchant of a connected account writes
    its customers' fields, and could name the owner of other customers' products.
    """

    def __init__(self, provider: str, rule: Rule, accounts: Collection[str] | None = None) -> None:
        self._provider = provider
        self._rule = rule
        self._accounts = accounts

    def named(self, account: str, values: Mapping[str, Any]) -> Link | None:
        """Return the owner that the columns of an account's customer name, None if they name none."""
        if self._accounts is not None and account not in self._accounts:
            return None
        return self._rule.link(values)

    async def find_holders(
        self,
        connection: Connection,
        subscriptions: Sequence[tuple[str, str]],
        items: Sequence[tuple[str, str]],
    ) -> set[CustomerKey]:
        """Return the customers of stored subscriptions, and of those with stored items, by (account, id)."""
        rows = await connection.fetch(HOLDERS, *_columns(subscriptions), *_columns(items))
        return {CustomerKey(*row) for row in rows}

    async def find(
        self,
        connection: Connection,
        customers: Iterable[CustomerKey],
        subscriptions: Sequence[tuple[str, str]],
        items: Sequence[tuple[str, str]],
    ) -> list[Customer]:
        """Return these customers, and those of stored subscriptions or items, by (account, id)."""
        named, found = _columns(customers), _columns(subscriptions)
        if not named[0] and not found[0]:
            return []
        rows = await connection.fetch(FIND, self._provider, *named, *found, *_columns(items))
        return [self._customer(dict(row)) for row in rows]

    async def write(self, connection: Connection, customers: Iterable[CustomerKey]) -> None:
        """Write down the owners of these customers as the mirror now names them.

        The caller holds the customers' locks and those of all links involved.
        """
        named = list(customers)
        if not named:
            return
        found = {one.key: one for one in await self.find(connection, named, (), ())}
        linked = [(*one.key, *one.link, one.created) for one in found.values() if one.link is not None]
        unlinked = [one.key for one in found.values() if one.link is None]
        if linked:
            await connection.execute(UPSERT, self._provider, *map(list, zip(*linked, strict=True)))
        if unlinked:
            await connection.execute(DELETE, self._provider, *_columns(unlinked))

    def _customer(self, row: Mapping[str, Any]) -> Customer:
        former = None if row["kind"] is None else Link(row["kind"], row["value"])
        key = CustomerKey(row["account"], row["customer"])
        link = self.named(key.account, row)
        return Customer(key, row["subscription"], row["created"], link, former)


def _columns(keys: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    pairs = list(keys)
    return [account for account, _ in pairs], [one for _, one in pairs]
