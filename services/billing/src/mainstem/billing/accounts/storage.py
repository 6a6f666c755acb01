"""Storage of billing accounts: registration, and the link to the account's customer at Stripe."""

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

STORE_REQUEST = """
UPDATE billing.account SET asked = $2, asked_at = $3
WHERE id = $1 AND stripe_customer_id IS NULL AND asked IS NULL
"""
CLEAR_REQUEST = """
UPDATE billing.account SET asked = NULL, asked_at = NULL, customers = customers + 1
WHERE id = $1 AND stripe_customer_id IS NULL AND customers = $2
"""
LINK = "UPDATE billing.account SET stripe_customer_id = $2 WHERE id = $1 AND stripe_customer_id IS NULL"
UNLINK = """
UPDATE billing.account
SET stripe_customer_id = NULL, asked = NULL, asked_at = NULL, customers = customers + 1
WHERE id = $1 AND stripe_customer_id = $2
"""


@dataclass(frozen=True, slots=True)
class BillingAccount:
    """A payer that an application registered.

    `customer_request` has the parameters of the last customer-creation call; it is kept while the call's
    outcome is unknown. `customer_number` counts the customers that were refused or deleted.
    """

    id: UUID
    owner: Link
    email: str
    login: str | None
    customer: str | None
    customer_request: Mapping[str, Any] | None
    customer_number: int

    @property
    def customer_key(self) -> str:
        """Idempotency key of the customer-creation call."""
        return f"customer:{self.id}:{self.customer_number}"


async def register(
    connection: Connection, owner: Link, email: str, login: str | None, now: datetime
) -> tuple[BillingAccount, bool]:
    """Store a payer, or its new address and login; return it, and whether it is new. Safe to repeat."""
    row = await connection.fetchrow(REGISTER, UUID(str(uuid7())), *owner, email, login, now)
    assert row is not None  # noqa: S101 -- an upsert without a condition returns its row
    return _account(row), row["is_new"]


async def find(connection: Connection, owner: Link) -> BillingAccount | None:
    """Return the account of an owner, None if it has none."""
    row = await connection.fetchrow(FIND, *owner)
    return None if row is None else _account(row)


async def require(connection: Connection, owner: Link) -> BillingAccount:
    """Return the account of an owner.

    Raises:
        NotFoundError: no account is registered for this owner.
    """
    account = await find(connection, owner)
    if account is None:
        raise NotFoundError(NOT_FOUND)
    return account


async def get(connection: Connection, account: UUID) -> BillingAccount:
    """Return an account by its id.

    Raises:
        LookupError: there is no such account.
    """
    row = await connection.fetchrow(GET, account)
    if row is None:
        raise LookupError(f"account {account}")
    return _account(row)


async def store_customer_request(
    connection: Connection, account: UUID, customer_request: Mapping[str, Any], now: datetime
) -> BillingAccount:
    """Store the parameters of a customer-creation call unless some are stored; return the stored account."""
    await connection.execute(STORE_REQUEST, account, msgspec.json.encode(customer_request).decode(), now)
    return await get(connection, account)


async def clear_customer_request(connection: Connection, account: BillingAccount) -> None:
    """Clear the parameters of a customer-creation call that certainly created nothing."""
    await connection.execute(CLEAR_REQUEST, account.id, account.customer_number)


async def link_customer(connection: Connection, account: UUID, customer: str) -> BillingAccount:
    """Link a customer to an account without one; return the account with the customer that it has."""
    await connection.execute(LINK, account, customer)
    return await get(connection, account)


async def unlink_customer(connection: Connection, account: UUID, customer: str) -> None:
    """Unlink a deleted customer, so that another one can be created."""
    await connection.execute(UNLINK, account, customer)


def _account(row: asyncpg.Record) -> BillingAccount:
    return BillingAccount(
        id=row["id"],
        owner=Link(row["owner_kind"], row["owner_value"]),
        email=row["email"],
        login=row["login"],
        customer=row["stripe_customer_id"],
        customer_request=None if row["asked"] is None else msgspec.json.decode(row["asked"]),
        customer_number=row["customers"],
    )
