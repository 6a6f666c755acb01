"""Signing keys as they are stored: EdDSA pairs, of which the newest signs. Plain SQL; the edge commits."""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from uuid_utils import uuid7

from mainstem.common.database.pool import Connection

TOKEN_SECONDS = 3_600
"""Lifetime of an access token, and so the time for which a retired key stays published."""

LOCK = "SELECT pg_advisory_xact_lock(hashtext('mainstem.gateway.signing_key'))"
"""Held by whoever makes a key, so that several gateways that start at once agree on one."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair; both halves as raw bytes in base64url, as a JWK has them. Times are machine time."""

    key_id: str
    private_key: str
    public_key: str
    created_at: datetime
    retired_at: datetime | None


async def list_all(connection: Connection) -> list[SigningKey]:
    """Return every key, the oldest first."""
    rows = await connection.fetch(
        """
        SELECT key_id, private_key, public_key, created_at, retired_at
        FROM gateway.signing_key ORDER BY created_at, key_id
        """
    )
    return [SigningKey(**row) for row in rows]


async def ensure(connection: Connection, at: datetime) -> None:
    """Make the first key if there is none to sign with. Safe to repeat, and from several gateways at once."""
    await connection.execute(LOCK)
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM gateway.signing_key WHERE retired_at IS NULL)"
    ):
        await _insert(connection, at)


async def rotate(connection: Connection, at: datetime, *, ahead_seconds: float) -> str:
    """Make the next key and retire the others; drop those whose tokens have all expired. Return its id.

    Readers publish the new key at once, and sign with it after `ahead_seconds`.
    """
    await connection.execute(LOCK)
    await connection.execute(
        "DELETE FROM gateway.signing_key WHERE retired_at < $1",
        at - timedelta(seconds=ahead_seconds + 2 * TOKEN_SECONDS),
    )
    await connection.execute("UPDATE gateway.signing_key SET retired_at = $1 WHERE retired_at IS NULL", at)
    return await _insert(connection, at)


async def _insert(connection: Connection, at: datetime) -> str:
    private = Ed25519PrivateKey.generate()
    key_id = str(uuid7())
    await connection.execute(
        """
        INSERT INTO gateway.signing_key (key_id, private_key, public_key, created_at) VALUES ($1, $2, $3, $4)
        """,
        key_id,
        _encode(private.private_bytes_raw()),
        _encode(private.public_key().public_bytes_raw()),
        at,
    )
    return key_id


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
