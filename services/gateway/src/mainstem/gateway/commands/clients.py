"""Commands of API clients: add, rotate, retire, disable, enable, list."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import App, Parameter

from mainstem.common.database.pool import Connection
from mainstem.common.errors import BadRequestError
from mainstem.gateway.clients import roles
from mainstem.gateway.clients import storage as clients
from mainstem.gateway.clients.storage import ApiClient
from mainstem.gateway.commands.database import transact
from mainstem.gateway.commands.output import Json, Scopes, iso, write

Roles = Annotated[tuple[str, ...], Parameter(name="--role", negative="")]

app = App(name="clients", help="API clients: programs that may request tokens.")


@app.command(name="add")
def add_client(
    name: str,
    /,
    *,
    email: str,
    scope: Scopes = (),
    role: Roles = (),
    rotate: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
) -> None:
    """Register a client and print its secret, which is shown once and stored as a hash.

    Args:
        name: letters, digits and -_. only; the client id is `id_` followed by the name.
        email: address of the client's owner.
        scope: scope to grant; repeat the option for several.
        role: role to grant; repeat the option for several.
        rotate: update an existing client: new secret, this email, these scopes and roles, enabled.
        as_json: print the credentials as JSON.
    """
    from mainstem.gateway.clients.secrets import hash_secret, new_secret  # noqa: PLC0415 -- `serve` and `list` need none

    client_id, scopes, secret = clients.client_id_of(name), roles.known_scopes(scope), new_secret()
    if not scope and not role:
        raise BadRequestError("a client needs a scope or a role")
    at, secret_hash = datetime.now(UTC), hash_secret(secret)

    async def add(connection: Connection) -> ApiClient:
        given: dict[str, Any] = {"email": email, "secret_hash": secret_hash, "scopes": scopes, "roles": role}
        await clients.add(connection, client_id, **given, at=at, replace=rotate)
        return await clients.get(connection, client_id)

    _show(transact(add), secret, as_json=as_json)


@app.command(name="rotate")
def rotate_client(
    name: str, /, *, now: Annotated[bool, Parameter(negative="")] = False, as_json: Json = False
) -> None:
    """Give a client a new secret; the previous one stays valid until the next rotation or `retire`.

    Tokens that were issued before stay valid until they expire.

    Args:
        name: name or id of the client.
        now: end every other secret immediately.
        as_json: print the credentials as JSON.
    """
    from mainstem.gateway.clients.secrets import hash_secret, new_secret  # noqa: PLC0415 -- `serve` and `list` need none

    client_id, secret = clients.client_id_of(name), new_secret()
    at, secret_hash = datetime.now(UTC), hash_secret(secret)

    async def rotate(connection: Connection) -> ApiClient:
        client = await clients.rotate(connection, client_id, secret_hash=secret_hash, at=at)
        if now:
            await clients.retire(connection, client_id)
        return client

    _show(transact(rotate), secret, as_json=as_json)


@app.command(name="retire")
def retire_secret(name: str, /) -> None:
    """End the previous secret of a client; `list` shows when it was last used.

    Args:
        name: name or id of the client.
    """
    client_id = clients.client_id_of(name)
    transact(lambda connection: clients.retire(connection, client_id))
    write(f"client {client_id} has one live secret")


@app.command
def disable(name: str, /) -> None:
    """Disable a client; its tokens are refused within ten seconds.

    Args:
        name: name or id of the client.
    """
    _set_enabled(name, enabled=False)


@app.command
def enable(name: str, /) -> None:
    """Enable a disabled client.

    Args:
        name: name or id of the client.
    """
    _set_enabled(name, enabled=True)


@app.command(name="list")
def list_clients(*, as_json: Json = False) -> None:
    """List clients, with the creation and the last use of each valid secret.

    Args:
        as_json: print a JSON array.
    """
    found = transact(clients.list_all)
    if as_json:
        write(json.dumps([_describe_client(client) for client in found]))
        return
    for client in found:
        state = "enabled" if client.enabled else "disabled"
        roles_of = f"({', '.join(sorted(client.roles))})  " if client.roles else ""
        write(f"{client.client_id}  {state}  {' '.join(sorted(client.scopes))}  {roles_of}{client.email}")
        for secret in client.secrets:
            write(f"  secret of {iso(secret.created_at)}  last used {iso(secret.last_used_at) or 'never'}")


def _describe_client(client: ApiClient) -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "email": client.email,
        "enabled": client.enabled,
        "roles": sorted(client.roles),
        "scopes": sorted(client.scopes),
        "created_at": client.created_at.isoformat(),
        "credentials": [
            {"created_at": iso(secret.created_at), "last_used_at": iso(secret.last_used_at)}
            for secret in client.secrets
        ],
    }


def _set_enabled(name: str, *, enabled: bool) -> None:
    client_id = clients.client_id_of(name)
    transact(lambda connection: clients.set_enabled(connection, client_id, enabled=enabled))
    write(f"client {client_id} is {'enabled' if enabled else 'disabled'}")


def _show(client: ApiClient, secret: str, *, as_json: bool) -> None:
    client_id, scopes = client.client_id, sorted(client.scopes)
    if as_json:
        write(json.dumps({"client_id": client_id, "client_secret": secret, "scopes": scopes}))
        return
    write(f"client_id:     {client_id}\nclient_secret: {secret}\nscopes:        {' '.join(scopes)}\n")
    write("The secret is not shown again. A token:\n")
    write(f"  curl -u '{client_id}:{secret}' -d grant_type=client_credentials $GATEWAY/token")
