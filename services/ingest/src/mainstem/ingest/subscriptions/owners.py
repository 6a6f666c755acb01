"""Owners of a provider's customers: the link that one setting takes from a customer's fields (stop 5).

Several customers may have one link; which of them count is the active rule set's choice.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
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
  mirror.description, mirror.email, mirror.metadata, owner.kind, owner.value
FROM given
LEFT JOIN LATERAL (
  SELECT description, email, metadata FROM stripe.customer
  WHERE account = given.account AND id = given.customer OFFSET 0
) AS mirror ON true
LEFT JOIN LATERAL (
  SELECT kind, value FROM subscription.owner
  WHERE provider = $1 AND account = given.account AND customer = given.customer OFFSET 0
) AS owner ON true
"""  # noqa: S608 -- constants of this module
"""`OFFSET 0` holds the planner to look up each row by its whole key: before the first ANALYZE it takes
`account` alone for selective."""

FIELD_TYPES = {"description": "varchar", "email": "varchar", "metadata": "jsonb"}
"""Columns of `stripe.customer` of which one names the owner, with their types."""

NOBODY = (None, None)
"""Kind and value of no owner."""


@cache
def write_statement(field: str) -> str:
    """Return the statement that writes owners, by the column that names them.

    A customer comes with each text that its column may hold now, and the owner that the text names. The
    statement itself looks up which of these texts the mirror holds: the greatest version won.
    A row is deleted by its `ctid`, which holds the planner to the whole key; the customer's lock keeps it.
    """
    return f"""
WITH possible AS (
  SELECT * FROM unnest($2::varchar[], $3::varchar[], $4::{FIELD_TYPES[field]}[], $5::varchar[], $6::varchar[])
    AS possible (account, customer, text, kind, value)
), named AS (
  SELECT DISTINCT account, customer, kind, value, created FROM possible
  LEFT JOIN LATERAL (
    SELECT {field} AS text, created FROM stripe.customer
    WHERE account = possible.account AND id = possible.customer OFFSET 0
  ) AS mirror ON true
  WHERE mirror.text IS NOT DISTINCT FROM possible.text
), unnamed AS (
  DELETE FROM subscription.owner WHERE ctid = ANY(ARRAY(
    SELECT old.ctid FROM named CROSS JOIN LATERAL (
      SELECT ctid FROM subscription.owner
      WHERE provider = $1 AND account = named.account AND customer = named.customer OFFSET 0
    ) AS old WHERE named.kind IS NULL
  ))
)
INSERT INTO subscription.owner AS old (provider, account, customer, kind, value, created)
SELECT $1, account, customer, kind, value, created FROM named WHERE kind IS NOT NULL
ON CONFLICT (provider, account, customer) DO UPDATE
SET kind = excluded.kind, value = excluded.value, created = excluded.created
WHERE (old.kind, old.value, old.created) IS DISTINCT FROM (excluded.kind, excluded.value, excluded.created)
"""  # noqa: S608 -- made of the columns above alone


class CustomerKey(NamedTuple):
    """One customer of one account."""

    account: str
    customer: str


@dataclass(frozen=True, slots=True)
class CustomerOwner:
    """Owner of one customer that a batch concerns: by the mirror, and as last derived.

    `text` is what the mirror's column holds that names the owner. `subscription` is the stored subscription
    through which the customer was found, None for a customer that a change names.
    """

    key: CustomerKey
    subscription: str | None
    text: str | None
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
    ) -> list[CustomerOwner]:
        """Return the owners of these customers, and of the holders of stored subscriptions or items."""
        named, found = _columns(customers), _columns(subscriptions)
        if not named[0] and not found[0]:
            return []
        rows = await connection.fetch(FIND, self._provider, *named, *found, *_columns(items))
        return [self._owner(dict(row)) for row in rows]

    async def write(
        self,
        connection: Connection,
        customers: Sequence[CustomerOwner],
        copies: Mapping[CustomerKey, Mapping[str, Any]],
    ) -> None:
        """Write down the owners of these customers as the mirror now names them.

        `copies` are the columns of the one copy of each that the mirror was given since they were found, if
        it was given one. The caller holds the customers' locks and those of all links involved.
        """
        possible = {(*one.key, one.text, *(one.link or NOBODY)) for one in customers} | {
            (*one.key, values[self._rule.field], *(self.named(one.key.account, values) or NOBODY))
            for one in customers
            if (values := copies.get(one.key)) is not None
        }
        if possible:
            columns = map(list, zip(*possible, strict=True))
            await connection.execute(write_statement(self._rule.field), self._provider, *columns)

    def _owner(self, row: Mapping[str, Any]) -> CustomerOwner:
        key = CustomerKey(row["account"], row["customer"])
        former = None if row["kind"] is None else Link(row["kind"], row["value"])
        text, link = row[self._rule.field], self.named(key.account, row)
        return CustomerOwner(key, row["subscription"], text, link, former)


def _columns(keys: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    pairs = list(keys)
    return [account for account, _ in pairs], [one for _, one in pairs]
