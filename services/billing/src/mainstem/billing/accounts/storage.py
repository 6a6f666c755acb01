"""Accounts in the database: whom an application sells to, and the customer that stands for it at Stripe."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from uuid_utils import uuid7

from mainstem.common.database.pool import Connection
from mainstem.common.errors import NotFoundError
from mainstem.common.owner import Link

PROVIDER_ACCOUNT = "default"
"""Name of the only account at Stripe, which holds the customers of all our accounts."""

NOT_FOUND = "user not found"

COLUMNS = "id, owner_kind, owner_value, email, login, stripe_customer_id, asked, asked_at, customers"

REGISTER = f"""
INSERT INTO billing.account
  (id, owner_kind, owner_value, email, login, provider_account, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, '{PROVIDER_ACCOUNT}', $6, $6)
ON CONFLICT (owner_kind, owner_value) DO UPDATE
SET email = excluded.email, login = excluded.login, updated_at = excluded.updated_at
RETURNING {COLUMNS}, xmax = 0 AS is_new
"""  # noqa: S608 -- constants of this module

FIND = f"SELECT {COLUMNS} FROM billing.account WHERE owner_kind = $1 AND owner_value = $2"  # noqa: S608 -- as above
GET = f"SELECT {COLUMNS} FROM billing.account WHERE id = $1"  # noqa: S608 -- as above

ASK = """
UPDATE billing.account SET asked = $2, asked_at = $3
WHERE id = $1 AND stripe_customer_id IS NULL AND asked IS NULL
"""
TAKE_BACK = """
UPDATE billing.account SET asked = NULL, asked_at = NULL, customers = customers + 1
WHERE id = $1 AND stripe_customer_id IS NULL AND customers = $2
"""
TIE = "UPDATE billing.account SET stripe_customer_id = $2 WHERE id = $1 AND stripe_customer_id IS NULL"
UNTIE = """
UPDATE billing.account
SET stripe_customer_id = NULL, asked = NULL, asked_at = NULL, customers = customers + 1
WHERE id = $1 AND stripe_customer_id = $2
"""


@dataclass(frozen=True, slots=True)
class Account:
    """A payer. `asked` is what its customer was to be made of, while that may or may not have happened."""

    id: UUID
    owner: Link
    email: str
    login: str | None
    customer: str | None
    asked: Mapping[str, Any] | None
    customers: int

    @property
    def key(self) -> str:
        """The key under which its customer is made once."""
        return f"customer:{self.id}:{self.customers}"


async def register(
    connection: Connection, owner: Link, email: str, login: str | None, now: datetime
) -> tuple[Account, bool]:
    """Store a payer or what is new of it; return it, and whether it was unknown. Safe to repeat."""
    row = await connection.fetchrow(REGISTER, UUID(str(uuid7())), *owner, email, login, now)
    assert row is not None  # noqa: S101 -- an upsert without a condition returns its row
    return _account(row), row["is_new"]


async def find(connection: Connection, owner: Link) -> Account | None:
    """Return the account of an owner, None if nobody registered one."""
    row = await connection.fetchrow(FIND, *owner)
    return None if row is None else _account(row)


async def require(connection: Connection, owner: Link) -> Account:
    """Return the account of an owner.

    Raises:
        NotFoundError: no account is registered for this owner.
    """
    account = await find(connection, owner)
    if account is None:
        raise NotFoundError(NOT_FOUND)
    return account


async def get(connection: Connection, account: UUID) -> Account:
    """Return an account that is known to be there."""
    row = await connection.fetchrow(GET, account)
    if row is None:
        raise LookupError(f"account {account}")
    return _account(row)


async def ask(connection: Connection, account: UUID, asked: Mapping[str, Any], now: datetime) -> Account:
    """Write down what a customer will be made of, unless it already is; return the account as it stands."""
    await connection.execute(ASK, account, msgspec.json.encode(asked).decode(), now)
    return await get(connection, account)


async def take_back(connection: Connection, account: Account) -> None:
    """Forget what a customer was to be made of: it is certain that it was not."""
    await connection.execute(TAKE_BACK, account.id, account.customers)


async def tie(connection: Connection, account: UUID, customer: str) -> Account:
    """Tie a customer to an account that has none; return the account, with the one that it has."""
    await connection.execute(TIE, account, customer)
    return await get(connection, account)


async def untie(connection: Connection, account: UUID, customer: str) -> None:
    """Let go of a customer that is no more, so that another one can be made."""
    await connection.execute(UNTIE, account, customer)


def _account(row: asyncpg.Record) -> Account:
    return Account(
        id=row["id"],
        owner=Link(row["owner_kind"], row["owner_value"]),
        email=row["email"],
        login=row["login"],
        customer=row["stripe_customer_id"],
        asked=None if row["asked"] is None else msgspec.json.decode(row["asked"]),
        customers=row["customers"],
    )
