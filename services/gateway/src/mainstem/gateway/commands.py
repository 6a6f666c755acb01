"""`mainstem gateway`: serve, and who may call."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from cyclopts import App, Parameter

from mainstem.common.database.pool import DATABASE_ERRORS, Connection, open_pool
from mainstem.common.errors import BadRequestError, UnavailableError
from mainstem.common.migrations import version
from mainstem.gateway.clients import roles
from mainstem.gateway.clients import storage as clients
from mainstem.gateway.clients.roles import Role
from mainstem.gateway.clients.storage import ApiClient
from mainstem.gateway.keys import storage as keys
from mainstem.gateway.keys.storage import SigningKey
from mainstem.gateway.settings import KeySettings, Settings, StoreSettings

app = App(name="gateway", help="Who may call: tokens, routes, proxy.")
client_commands = App(name="clients", help="The programs that may ask for tokens.")
role_commands = App(name="roles", help="Named sets of scopes, for clients.")
key_commands = App(name="keys", help="The keys that sign tokens.")
app.command(client_commands)
app.command(role_commands)
app.command(key_commands)

T = TypeVar("T")
Json = Annotated[bool, Parameter(name="--json", negative="")]
Scopes = Annotated[tuple[str, ...], Parameter(name="--scope", negative="")]
Roles = Annotated[tuple[str, ...], Parameter(name="--role", negative="")]


@app.command
def serve(*, host: str | None = None, port: int | None = None) -> None:
    """Serve HTTP until SIGTERM.

    Args:
        host: instead of MAINSTEM_HOST.
        port: instead of MAINSTEM_PORT.
    """
    # Imported here, so that the other commands do not wait for them.
    from mainstem.common.http import app as web  # noqa: PLC0415 -- see above
    from mainstem.gateway.app import build  # noqa: PLC0415 -- see above

    given = {"host": host, "port": port}
    settings = Settings.from_environment()
    settings = settings.model_copy(update={name: value for name, value in given.items() if value is not None})
    web.serve(build(settings), settings)


@client_commands.command(name="add")
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
    """Let a program in. Its secret is shown once, and only a hash is kept.

    Args:
        name: letters, digits and -_. only; the id is `id_` and the name.
        email: whom to ask about it.
        scope: what it may; once for each.
        role: a set of scopes that it may have; once for each.
        rotate: if it exists, rotate its secret, give it this email, these scopes and roles, and enable it.
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

    _show(_run(add), secret, as_json=as_json)


@client_commands.command(name="rotate")
def rotate_client(
    name: str, /, *, now: Annotated[bool, Parameter(negative="")] = False, as_json: Json = False
) -> None:
    """Give a client another secret. The one before it stays live until the next rotation, or until `retire`.

    Tokens that the client holds stay good until they expire.

    Args:
        name: its name or id.
        now: end every other secret at once.
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

    _show(_run(rotate), secret, as_json=as_json)


@client_commands.command(name="retire")
def retire_secret(name: str, /) -> None:
    """End the secret before the current one, once nothing uses it: `list` shows its last use.

    Args:
        name: its name or id.
    """
    client_id = clients.client_id_of(name)
    _run(lambda connection: clients.retire(connection, client_id))
    _print(f"client {client_id} has one live secret")


@client_commands.command
def disable(name: str, /) -> None:
    """Keep a client out, within ten seconds also with the tokens that it holds.

    Args:
        name: its name or id.
    """
    _set_enabled(name, enabled=False)


@client_commands.command
def enable(name: str, /) -> None:
    """Let a client in again.

    Args:
        name: its name or id.
    """
    _set_enabled(name, enabled=True)


@client_commands.command(name="list")
def list_clients(*, as_json: Json = False) -> None:
    """Show every client, and of each live secret when it was made and last used.

    Args:
        as_json: print a JSON array.
    """
    found = _run(clients.list_all)
    if as_json:
        _print(json.dumps([_describe_client(client) for client in found]))
        return
    for client in found:
        state = "enabled" if client.enabled else "disabled"
        roles_of = f"({', '.join(sorted(client.roles))})  " if client.roles else ""
        _print(f"{client.client_id}  {state}  {' '.join(sorted(client.scopes))}  {roles_of}{client.email}")
        for secret in client.secrets:
            _print(
                f"  secret of {_date(secret.created_at)}  last used {_date(secret.last_used_at) or 'never'}"
            )


@role_commands.command(name="set")
def set_role(name: str, /, *, scope: Scopes, description: str = "") -> None:
    """Make a role, or change one. Tokens that are out lose what is gone within ten seconds.

    Args:
        name: small letters, digits and _- only.
        scope: what it allows; once for each, all of them.
        description: what it is for; if it exists, what is said of it stays unless given.
    """
    role = Role(roles.known_name(name), description, frozenset(roles.known_scopes(scope)))
    _run(lambda connection: roles.put(connection, role))
    _print(f"role {name} allows {' '.join(sorted(role.scopes))}")


@role_commands.command(name="remove")
def remove_role(name: str, /) -> None:
    """Forget a role that no client has.

    Args:
        name: its name.
    """
    _run(lambda connection: roles.remove(connection, name))
    _print(f"role {name} is gone")


@role_commands.command(name="list")
def list_roles(*, as_json: Json = False) -> None:
    """Show every role.

    Args:
        as_json: print a JSON array.
    """
    found = _run(roles.list_all)
    if as_json:
        _print(json.dumps([{**asdict(role), "scopes": sorted(role.scopes)} for role in found]))
        return
    for role in found:
        _print(f"{role.name}  {' '.join(sorted(role.scopes))}  {role.description}".rstrip())


@key_commands.command(name="rotate")
def rotate_key() -> None:
    """Make the next signing key. The old one stays published until its tokens have expired."""
    settings = KeySettings.from_environment()
    ahead, at = settings.key_ahead_seconds, datetime.now(UTC)
    key_id = _run(lambda connection: keys.rotate(connection, at, ahead_seconds=ahead))
    _print(f"key {key_id} is published from now on and signs in {ahead:g} seconds")


@key_commands.command(name="list")
def list_keys(*, as_json: Json = False) -> None:
    """Show the signing keys, the oldest first; never the private halves.

    Args:
        as_json: print a JSON array.
    """
    found = [_describe_key(key) for key in _run(keys.list_all)]
    if as_json:
        _print(json.dumps(found))
        return
    for key in found:
        _print(f"{key['key_id']}  created {key['created_at']}  retired {key['retired_at'] or '-'}")


def _describe_client(client: ApiClient) -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "email": client.email,
        "enabled": client.enabled,
        "roles": sorted(client.roles),
        "scopes": sorted(client.scopes),
        "created_at": client.created_at.isoformat(),
        "credentials": [
            {"created_at": _date(secret.created_at), "last_used_at": _date(secret.last_used_at)}
            for secret in client.secrets
        ],
    }


def _describe_key(key: SigningKey) -> dict[str, str | None]:
    return {"key_id": key.key_id, "created_at": _date(key.created_at), "retired_at": _date(key.retired_at)}


def _date(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _set_enabled(name: str, *, enabled: bool) -> None:
    client_id = clients.client_id_of(name)
    _run(lambda connection: clients.set_enabled(connection, client_id, enabled=enabled))
    _print(f"client {client_id} is {'enabled' if enabled else 'disabled'}")


def _show(client: ApiClient, secret: str, *, as_json: bool) -> None:
    client_id, scopes = client.client_id, sorted(client.scopes)
    if as_json:
        _print(json.dumps({"client_id": client_id, "client_secret": secret, "scopes": scopes}))
        return
    _print(f"client_id:     {client_id}\nclient_secret: {secret}\nscopes:        {' '.join(scopes)}\n")
    _print("The secret is not shown again. A token:\n")
    _print(f"  curl -u '{client_id}:{secret}' -d grant_type=client_credentials $GATEWAY/token")


def _run(work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run one transaction on the database that the environment names.

    Raises:
        UnavailableError: it does not answer, or refuses.
        SchemaVersionError: its schema is another one.
    """
    url = StoreSettings.from_environment().database_url.get_secret_value()

    async def transact() -> T:
        async with open_pool(url, name="gateway-command", size=1) as pool, pool.transaction() as connection:
            await version.check(connection)
            return await work(connection)

    try:
        return asyncio.run(transact())
    except DATABASE_ERRORS as error:
        raise UnavailableError(f"the database does not serve this: {type(error).__name__}") from error


def _print(text: str) -> None:
    print(text)  # noqa: T201 -- a command speaks to a person
