"""API clients as they are stored: programs that may ask for tokens. Plain SQL; the edge commits."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainstem.common.database import Connection
from mainstem.common.errors import BadRequestError, ConflictError, NotFoundError
from mainstem.common.lease import affected

_NAME = re.compile(r"[-_.a-zA-Z0-9]{1,200}")

_CLIENTS = """
SELECT client_id, email, secret_hash, enabled, created_at, rotated_at,
       ARRAY(SELECT role FROM gateway.client_role AS held WHERE held.client_id = client.client_id) AS roles,
       scopes || ARRAY(
         SELECT scope FROM gateway.permission JOIN gateway.client_role AS held USING (role)
         WHERE held.client_id = client.client_id
       ) AS scopes
FROM gateway.api_client AS client
"""


@dataclass(frozen=True, slots=True)
class ApiClient:
    """A stored client; of its secret there is only a hash. Its scopes are its own and those of its roles."""

    client_id: str
    email: str
    secret_hash: str
    enabled: bool
    roles: frozenset[str]
    scopes: frozenset[str]
    created_at: datetime
    rotated_at: datetime


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
    """Store a client; with `replace` one of that id gets all that is given here, and is enabled.

    Raises:
        ConflictError: it exists, and is not to be replaced.
        NotFoundError: there is no such role.
    """
    status = await connection.execute(
        """
        INSERT INTO gateway.api_client
          (client_id, email, secret_hash, enabled, scopes, created_at, rotated_at)
        VALUES ($1, $2, $3, true, $4, $5, $5)
        ON CONFLICT (client_id) DO UPDATE
          SET email = excluded.email, secret_hash = excluded.secret_hash, enabled = true,
              scopes = excluded.scopes, rotated_at = excluded.rotated_at
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
    """Give the client another secret and return it; its tokens stay good until they expire.

    Raises:
        NotFoundError: there is no such client.
    """
    await connection.execute(
        "UPDATE gateway.api_client SET secret_hash = $2, rotated_at = $3 WHERE client_id = $1",
        client_id,
        secret_hash,
        at,
    )
    return await get(connection, client_id)


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
    return ApiClient(**{**row, "roles": frozenset(row["roles"]), "scopes": frozenset(row["scopes"])})


def _unknown(client_id: str) -> NotFoundError:
    return NotFoundError(f"there is no client {client_id}")
