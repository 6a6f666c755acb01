"""Commands of roles: set, remove, list."""

import json
from dataclasses import asdict

from cyclopts import App

from mainstem.gateway.clients import roles
from mainstem.gateway.clients.roles import Role
from mainstem.gateway.commands.database import transact
from mainstem.gateway.commands.output import Json, Scopes, write

app = App(name="roles", help="Roles: named sets of scopes for clients.")


@app.command(name="set")
def set_role(name: str, /, *, scope: Scopes, description: str = "") -> None:
    """Create or replace a role; removed scopes are refused within ten seconds, also for issued tokens.

    Args:
        name: small letters, digits and _- only.
        scope: scope of the role; repeat the option for all of them.
        description: purpose of the role; an existing description is kept if none is given.
    """
    role = Role(roles.known_name(name), description, frozenset(roles.known_scopes(scope)))
    transact(lambda connection: roles.put(connection, role))
    write(f"role {name} allows {' '.join(sorted(role.scopes))}")


@app.command(name="remove")
def remove_role(name: str, /) -> None:
    """Delete a role that no client holds.

    Args:
        name: name of the role.
    """
    transact(lambda connection: roles.remove(connection, name))
    write(f"role {name} is gone")


@app.command(name="list")
def list_roles(*, as_json: Json = False) -> None:
    """List roles.

    Args:
        as_json: print a JSON array.
    """
    found = transact(roles.list_all)
    if as_json:
        write(json.dumps([{**asdict(role), "scopes": sorted(role.scopes)} for role in found]))
        return
    for role in found:
        write(f"{role.name}  {' '.join(sorted(role.scopes))}  {role.description}".rstrip())
