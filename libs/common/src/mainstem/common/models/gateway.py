"""Schema `gateway`: who may call, and the keys that say so. Writer: gateway."""

from datetime import datetime

from sqlalchemy import ARRAY, Column, Text
from sqlmodel import Field, SQLModel


class ApiClient(SQLModel, table=True):
    """A program that may ask for tokens; only a hash of its secret is kept."""

    __tablename__ = "api_client"
    __table_args__ = {"schema": "gateway"}

    client_id: str = Field(primary_key=True)
    email: str
    secret_hash: str
    enabled: bool
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    created_at: datetime
    rotated_at: datetime


class SigningKey(SQLModel, table=True):
    """An EdDSA key pair: signs until the next one does, is published as long as its tokens may live."""

    __tablename__ = "signing_key"
    __table_args__ = {"schema": "gateway"}

    key_id: str = Field(primary_key=True)
    private_key: str
    public_key: str
    created_at: datetime
    retired_at: datetime | None = None
