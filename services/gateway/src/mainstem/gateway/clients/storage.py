"""API clients as they are stored: programs that may request tokens. Plain SQL; the edge commits."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mainstem.common.database.pool import Connection
from mainstem.common.errors import BadRequestError, ConflictError, NotFoundError
from mainstem.common.queue.lease import affected

_NAME = re.compile(r"[-_.a-zA-Z0-9]{1,200}")

_CLIENTS = """
SELECT client_id, email, enabled, created_at, secret_hash, rotated_at, last_used_at,
       previous_secret_hash, previous_rotated_at, previous_last_used_at,
       ARRAY(SELECT role FROM gateway.client_role AS held WHERE held.client_id = client.client_id) AS roles,
       scopes || ARRAY(
         SELECT scope FROM gateway.permission JOIN gateway.client_role AS held USING (role)
         WHERE held.client_id = client.client_id
       ) AS scopes
FROM gateway.api_client AS client
"""

LIVE_SECRETS = 2
"""Most live secrets of one client: the current one and the one before it."""

USE_SECONDS = 60.0
"""Least time between two writes of a secret's last use."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A live secret, of which there is only a hash; `last_used_at` is at most about a minute late."""

    secret_hash: str = field(repr=False)
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class ApiClient:
    """A stored client. Its scopes are its own and those of its roles; the newest secret comes first."""

    client_id: str
    email: str
    enabled: bool
    roles: frozenset[str]
    scopes: frozenset[str]
    created_at: datetime
    secrets: tuple[ClientSecret, ...]


def client_id_of(name: str) -> str:
    """Return the id of the client with that name: the name itself, behind `id_`.

    Raises:
        BadRequestError: the name will not do.
    """
    if not _NAME.fullmatch(name):
        raise BadRequestError("a client's name has letters, digits and -_. only, and at least one of them")
    return name if name.startswith("id_") else f"id_{name}"


async def find(connection: Connection, client_id: str) -> ApiClient | None:
    """Return the client, or None."""
    if not _NAME.fullmatch(client_id):
        return None
    row = await connection.fetchrow(f"{_CLIENTS} WHERE client_id = $1", client_id)
    return None if row is None else _client(dict(row))


async def get(connection: Connection, client_id: str) -> ApiClient:
    """Return the client.

    Raises:
        NotFoundError: there is no such client.
    """
    client = await find(connection, client_id)
    if client is None:
        raise _unknown(client_id)
    return client


async def list_all(connection: Connection) -> list[ApiClient]:
    """Return every client, by id."""
    return [_client(dict(row)) for row in await connection.fetch(f"{_CLIENTS} ORDER BY client_id")]


async def add(
    connection: Connection,
    client_id: str,
    *,
    email: str,
    secret_hash: str,
    scopes: Sequence[str],
    roles: Sequence[str] = (),
    at: datetime,
    replace: bool = False,
) -> None:
    """Store a client; with `replace` an existing one gets all that is given here, and is enabled.

    A secret that is replaced stays live, as `rotate` says.

    Raises:
        ConflictError: it exists, and is not to be replaced.
        NotFoundError: there is no such role.
    """
    status = await connection.execute(
        """
        INSERT INTO gateway.api_client AS client
          (client_id, email, secret_hash, enabled, scopes, created_at, rotated_at)
        VALUES ($1, $2, $3, true, $4, $5, $5)
        ON CONFLICT (client_id) DO UPDATE
          SET email = excluded.email, secret_hash = excluded.secret_hash, enabled = true,
              scopes = excluded.scopes, rotated_at = excluded.rotated_at, last_used_at = NULL,
              previous_secret_hash = client.secret_hash, previous_rotated_at = client.rotated_at,
              previous_last_used_at = client.last_used_at
          WHERE $6
        """,
        client_id,
        email,
        secret_hash,
        scopes,
        at,
        replace,
    )
    if affected(status) == 0:
        raise ConflictError(f"client {client_id} exists already; rotate it, or add it with --rotate")
    await _set_roles(connection, client_id, roles)


async def _set_roles(connection: Connection, client_id: str, roles: Sequence[str]) -> None:
    await connection.execute("DELETE FROM gateway.client_role WHERE client_id = $1", client_id)
    rows = await connection.fetch(
        """
        INSERT INTO gateway.client_role (client_id, role)
        SELECT $1, name FROM gateway.role WHERE name = ANY($2::text[]) RETURNING role
        """,
        client_id,
        roles,
    )
    if unknown := sorted({*roles} - {row["role"] for row in rows}):
        raise NotFoundError(f"there is no role {', '.join(unknown)}")


async def rotate(connection: Connection, client_id: str, *, secret_hash: str, at: datetime) -> ApiClient:
    """Give the client another secret and return the client; its tokens stay good until they expire.

    The secret before it stays live until the next rotation, or until `retire`. An older one ends.

    Raises:
        NotFoundError: there is no such client.
    """
    await connection.execute(
        """
        UPDATE gateway.api_client
        SET secret_hash = $2, rotated_at = $3, last_used_at = NULL, previous_secret_hash = secret_hash,
            previous_rotated_at = rotated_at, previous_last_used_at = last_used_at
        WHERE client_id = $1
        """,
        client_id,
        secret_hash,
        at,
    )
    return await get(connection, client_id)


async def retire(connection: Connection, client_id: str) -> None:
    """End the secret before the current one. Safe to repeat.

    Raises:
        NotFoundError: there is no such client.
    """
    status = await connection.execute(
        """
        UPDATE gateway.api_client
        SET previous_secret_hash = NULL, previous_rotated_at = NULL, previous_last_used_at = NULL
        WHERE client_id = $1
        """,
        client_id,
    )
    if affected(status) == 0:
        raise _unknown(client_id)


async def note_use(connection: Connection, client_id: str, secret_hash: str, at: datetime) -> None:
    """Store when a secret was used last. A secret that is no longer live is skipped."""
    await connection.execute(
        """
        UPDATE gateway.api_client SET
          last_used_at = CASE WHEN secret_hash = $2 THEN $3 ELSE last_used_at END,
          previous_last_used_at = CASE WHEN previous_secret_hash = $2 THEN $3 ELSE previous_last_used_at END
        WHERE client_id = $1 AND $2 IN (secret_hash, previous_secret_hash)
        """,
        client_id,
        secret_hash,
        at,
    )


async def set_enabled(connection: Connection, client_id: str, *, enabled: bool) -> None:
    """Let the client in, or keep it out, its tokens too. Safe to repeat.

    Raises:
        NotFoundError: there is no such client.
    """
    status = await connection.execute(
        "UPDATE gateway.api_client SET enabled = $2 WHERE client_id = $1", client_id, enabled
    )
    if affected(status) == 0:
        raise _unknown(client_id)


def _client(row: Mapping[str, Any]) -> ApiClient:
    current = ClientSecret(row["secret_hash"], row["rotated_at"], row["last_used_at"])
    previous = ClientSecret(
        row["previous_secret_hash"], row["previous_rotated_at"], row["previous_last_used_at"]
    )
    return ApiClient(
        client_id=row["client_id"],
        email=row["email"],
        enabled=row["enabled"],
        roles=frozenset(row["roles"]),
        scopes=frozenset(row["scopes"]),
        created_at=row["created_at"],
        secrets=(current,) if previous.secret_hash is None else (current, previous),
    )


def _unknown(client_id: str) -> NotFoundError:
    return NotFoundError(f"there is no client {client_id}")
