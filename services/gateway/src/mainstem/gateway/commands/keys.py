"""Commands of signing keys: rotate, list."""

import json
from datetime import UTC, datetime

from cyclopts import App

from mainstem.gateway.commands.database import transact
from mainstem.gateway.commands.output import Json, iso, write
from mainstem.gateway.keys import storage as keys
from mainstem.gateway.keys.storage import SigningKey
from mainstem.gateway.settings import KeySettings

app = App(name="keys", help="Keys that sign tokens and identities.")


@app.command(name="rotate")
def rotate_key() -> None:
    """Create the next signing key; the old one stays published until its tokens have expired."""
    settings = KeySettings.from_environment()
    ahead, at = settings.key_ahead_seconds, datetime.now(UTC)
    key_id = transact(lambda connection: keys.rotate(connection, at, ahead_seconds=ahead))
    write(f"key {key_id} is published from now on and signs in {ahead:g} seconds")


@app.command(name="list")
def list_keys(*, as_json: Json = False) -> None:
    """List the signing keys, oldest first, without their private halves.

    Args:
        as_json: print a JSON array.
    """
    found = [_describe_key(key) for key in transact(keys.list_all)]
    if as_json:
        write(json.dumps(found))
        return
    for key in found:
        write(f"{key['key_id']}  created {key['created_at']}  retired {key['retired_at'] or '-'}")


def _describe_key(key: SigningKey) -> dict[str, str | None]:
    return {"key_id": key.key_id, "created_at": iso(key.created_at), "retired_at": iso(key.retired_at)}
