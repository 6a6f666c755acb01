"""API clients as they are stored: programs that may ask for tokens. Plain SQL; the edge commits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mainstem.common.database import Connection
from mainstem.common.errors import BadRequestError, ConflictError, NotFoundError
from mainstem.common.lease import affected
from mainstem.gateway.routes import SCOPES

_NAME = re.compile(r"[-_.a-zA-Z0-9]{1,200}")

_COLUMNS = "client_id, email, secret_hash, enabled, scopes, created_at, rotated_at"


@dataclass(frozen=True, slots=True)
class ApiClient:
    """A stored client; of its secret there is only a hash."""

    client_id: str
    email: str
    secret_hash: str
    enabled: bool
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


def known_scopes(scopes: Sequence[str]) -> list[str]:
    """Return the scopes, each once, in order.

    Raises:
        BadRequestError: there is none, or one that nothing asks for.
    """
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise BadRequestError(f"unknown scope {', '.join(unknown)}; there are {', '.join(SCOPES)}")
    if not scopes:
        raise BadRequestError(f"a client needs a scope; there are {', '.join(SCOPES)}")
    return sorted(set(scopes))


async def find(connection: Connection, client_id: str) -> ApiClient | None:
    """Return the client, or None."""
    if not _NAME.fullmatch(client_id):
        return None
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM gateway.api_client WHERE client_id = $1",  # noqa: S608 -- a constant
        client_id,
    )
    return None if row is None else ApiClient(**{**row, "scopes": frozenset(row["scopes"])})


async def list_all(connection: Connection) -> list[ApiClient]:
    """Return every client, by id."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM gateway.api_client ORDER BY client_id"  # noqa: S608 -- a constant
    )
    return [ApiClient(**{**row, "scopes": frozenset(row["scopes"])}) for row in rows]


async def add(
    connection: Connection,
    client_id: str,
    *,
    email: str,
    secret_hash: str,
    scopes: Sequence[str],
    at: datetime,
    replace: bool = False,
) -> None:
    """Store a client; with `replace` one of that id gets this secret, email and scopes, and is enabled.

    Raises:
        ConflictError: it exists, and is not to be replaced.
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


async def rotate(connection: Connection, client_id: str, *, secret_hash: str, at: datetime) -> list[str]:
    """Give the client another secret and return its scopes; its tokens stay good until they expire.

    Raises:
        NotFoundError: there is no such client.
    """
    scopes: list[str] | None = await connection.fetchval(
        """
        UPDATE gateway.api_client SET secret_hash = $2, rotated_at = $3 WHERE client_id = $1 RETURNING scopes
        """,
        client_id,
        secret_hash,
        at,
    )
    if scopes is None:
        raise _unknown(client_id)
    return scopes


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


def _unknown(client_id: str) -> NotFoundError:
    return NotFoundError(f"there is no client {client_id}")
