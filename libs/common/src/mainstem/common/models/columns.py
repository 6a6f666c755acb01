"""Groups of columns that several tables share."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, Identity, SmallInteger, String, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

ROOM = {"postgresql_with": {"fillfactor": 85}}
"""For tables whose rows change in place: a new version that fits on its page needs no index entry."""


def sequence() -> Any:
    """Return a field for a primary key that Postgres counts up."""
    return Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity(always=True)])


def json_field(name: str, *, nullable: bool = True) -> Any:
    """Return a field for a JSON object, in a column of that name (SQLModel keeps `metadata` for itself)."""
    return Field(default=None, sa_column=Column(name, JSONB, nullable=nullable))


def texts() -> Any:
    """Return a field for a list of texts, empty at first."""
    return Field(
        default_factory=list, sa_type=ARRAY(String), sa_column_kwargs={"server_default": text("'{}'")}
    )


def integer(default: int) -> Any:
    """Return a field for a whole number that starts at `default`."""
    return Field(default=default, sa_column_kwargs={"server_default": text(str(default))})


def big_integer(default: int | None = None) -> Any:
    """Return a field for a 64-bit whole number, with a start if there is a default."""
    server_default = {} if default is None else {"server_default": text(str(default))}
    return Field(default=default, sa_type=BigInteger, sa_column_kwargs=server_default)


class Leased(SQLModel):
    """Work that one worker at a time may claim, for a while.

    `due_at` is world time; `lease_expires_at` is Postgres' own time.
    `claims` counts every taking, `failures` only the ones that ended in an error.
    """

    due_at: datetime
    lease_owner: str | None = None
    lease_token: UUID | None = None
    lease_expires_at: datetime | None = None
    claims: int = integer(0)
    failures: int = integer(0)
    last_error: str | None = None


class Versioned(SQLModel):
    """A row of a mirror: the version `(epoch, at, rank, key)` decides, as a whole, which copy is newer.

    Every other column may be null, since a tombstone may come first.
    """

    account: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    epoch: int
    at: datetime
    rank: int = Field(sa_type=SmallInteger)
    key: str
    deleted: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    livemode: bool | None = None
    created: datetime | None = None
