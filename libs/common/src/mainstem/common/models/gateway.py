"""Schema `gateway`: API clients, their roles and permissions, and signing keys. Writer: gateway."""

from datetime import datetime

from sqlalchemy import ARRAY, Column, Text
from sqlmodel import Field, SQLModel


class ApiClient(SQLModel, table=True):
    """A program that may request tokens, with one or two live secrets; only their hashes are kept.

    It may what its `scopes` say, and what those of its roles do.
    A rotation moves the secret, its age and its last use into the `previous_…` columns.
    """

    __tablename__ = "api_client"
    __table_args__ = {"schema": "gateway"}

    client_id: str = Field(primary_key=True)
    email: str
    secret_hash: str
    enabled: bool
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    created_at: datetime
    rotated_at: datetime
    last_used_at: datetime | None = None
    previous_secret_hash: str | None = None
    previous_rotated_at: datetime | None = None
    previous_last_used_at: datetime | None = None


class Role(SQLModel, table=True):
    """A named set of scopes."""

    __tablename__ = "role"
    __table_args__ = {"schema": "gateway"}

    name: str = Field(primary_key=True)
    description: str


class Permission(SQLModel, table=True):
    """One scope of one role."""

    __tablename__ = "permission"
    __table_args__ = {"schema": "gateway"}

    role: str = Field(primary_key=True, foreign_key="gateway.role.name", ondelete="CASCADE")
    scope: str = Field(primary_key=True)


class ClientRole(SQLModel, table=True):
    """One role of one client; a role that some client has is not removed."""

    __tablename__ = "client_role"
    __table_args__ = {"schema": "gateway"}

    client_id: str = Field(primary_key=True, foreign_key="gateway.api_client.client_id", ondelete="CASCADE")
    role: str = Field(primary_key=True, foreign_key="gateway.role.name")


class SigningKey(SQLModel, table=True):
    """An EdDSA key pair: signs until the next one does, is published as long as its tokens may live."""

    __tablename__ = "signing_key"
    __table_args__ = {"schema": "gateway"}

    key_id: str = Field(primary_key=True)
    private_key: str
    public_key: str
    created_at: datetime
    retired_at: datetime | None = None
