"""Roles as they are stored: named sets of scopes. Plain SQL; the edge commits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mainstem.common.database.pool import Connection
from mainstem.common.errors import BadRequestError, ConflictError, NotFoundError
from mainstem.common.queue.lease import affected
from mainstem.gateway.routes.table import SCOPES

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of scopes."""

    name: str
    description: str
    scopes: frozenset[str]


def known_scopes(scopes: Sequence[str]) -> list[str]:
    """Return the scopes, each once, in order.

    Raises:
        BadRequestError: there is one that nothing asks for.
    """
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise BadRequestError(f"unknown scope {', '.join(unknown)}; there are {', '.join(SCOPES)}")
    return sorted(set(scopes))


def known_name(name: str) -> str:
    """Return the name.

    Raises:
        BadRequestError: it will not do.
    """
    if not _NAME.fullmatch(name):
        raise BadRequestError("a role's name has small letters, digits and _- only, and a letter first")
    return name


async def list_all(connection: Connection) -> list[Role]:
    """Return every role, by name."""
    rows = await connection.fetch(
        """
        SELECT name, description, ARRAY(SELECT scope FROM gateway.permission WHERE role = name) AS scopes
        FROM gateway.role ORDER BY name
        """
    )
    return [Role(row["name"], row["description"], frozenset(row["scopes"])) for row in rows]


async def put(connection: Connection, role: Role) -> None:
    """Store the role as it is given, in place of one of that name. Safe to repeat.

    An empty description leaves the one that is there.
    Its clients may ask for what is new in their next token, and lose what is gone within ten seconds.
    """
    await connection.execute(
        """
        INSERT INTO gateway.role (name, description) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE
          SET description = coalesce(nullif(excluded.description, ''), role.description)
        """,
        role.name,
        role.description,
    )
    await connection.execute("DELETE FROM gateway.permission WHERE role = $1", role.name)
    await connection.execute(
        "INSERT INTO gateway.permission (role, scope) SELECT $1, unnest($2::text[])",
        role.name,
        sorted(role.scopes),
    )


async def remove(connection: Connection, name: str) -> None:
    """Forget the role.

    Raises:
        ConflictError: some client has it.
        NotFoundError: there is no such role.
    """
    # Locked first: a client that is given the role at this moment waits, and then finds none.
    await connection.execute("SELECT FROM gateway.role WHERE name = $1 FOR UPDATE", name)
    holders = await connection.fetch(
        "SELECT client_id FROM gateway.client_role WHERE role = $1 ORDER BY client_id", name
    )
    if holders:
        raise ConflictError(f"role {name} is held by {', '.join(row['client_id'] for row in holders)}")
    if affected(await connection.execute("DELETE FROM gateway.role WHERE name = $1", name)) == 0:
        raise NotFoundError(f"there is no role {name}")
