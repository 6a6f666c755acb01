"""Commands of the gateway, run in process: output, errors and effects."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable

import pytest
from servers import Database

from mainstem.common.commands import main

ADD = ("clients", "add", "demo", "--email", "demo@example.com", "--scope", "contacts:read")
Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def run(database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on this test's database; return its exit code and what it said."""
    monkeypatch.setenv("DATABASE_URL", database.urls["gateway"])

    async def run(*arguments: str) -> tuple[int, str, str]:
        # In a thread, since a command brings an event loop of its own.
        code = await asyncio.to_thread(exit_code_of, arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def exit_code_of(arguments: tuple[str, ...]) -> int:
    """Return the exit code of a command, and write the text that it ends with to stderr, as Python would."""
    with pytest.raises(SystemExit) as ended:
        main(["gateway", *arguments])
    code = ended.value.code
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
        return 1
    return code or 0


async def test_client_is_added_rotated_disabled_enabled_and_listed(run: Run) -> None:
    code, out, err = await run(*ADD, "--scope", "contacts:write", "--json")
    added = json.loads(out)
    assert (code, err) == (0, "")
    assert added.keys() == {"client_id", "client_secret", "scopes"}
    assert (added["client_id"], added["scopes"]) == ("id_demo", ["contacts:read", "contacts:write"])
    assert added["client_secret"].startswith("secret_")
    assert len(added["client_secret"]) == len("secret_") + 43

    code, out, err = await run(*ADD)
    assert (code, out) == (1, "")
    assert "exists already" in err

    _, out, _ = await run("clients", "rotate", "id_demo", "--json")
    rotated = json.loads(out)
    assert rotated["client_secret"] != added["client_secret"]
    assert rotated["scopes"] == added["scopes"]

    assert (await run("clients", "disable", "demo"))[0] == 0
    _, out, _ = await run("clients", "list", "--json")
    (listed,) = json.loads(out)
    assert (listed["client_id"], listed["enabled"]) == ("id_demo", False)
    assert "secret" not in out
    assert len(listed["credentials"]) == 2
    assert all(secret["created_at"] and secret["last_used_at"] is None for secret in listed["credentials"])
    assert "enabled" in (await run("clients", "enable", "demo"))[1]


async def test_previous_secret_is_listed_until_retire_or_rotation_ends_it(run: Run) -> None:
    async def secrets() -> int:
        return (await run("clients", "list"))[1].count("last used never")

    await run(*ADD)
    assert await secrets() == 1
    await run("clients", "rotate", "demo")
    assert await secrets() == 2
    await run("clients", "rotate", "demo")
    assert await secrets() == 2
    for _ in range(2):
        assert "id_demo has one live secret" in (await run("clients", "retire", "demo"))[1]
    assert await secrets() == 1
    await run("clients", "rotate", "demo")
    await run("clients", "rotate", "demo", "--now")
    assert await secrets() == 1


async def test_role_is_set_given_listed_and_removed(run: Run) -> None:
    assert (await run("roles", "set", "clerk", "--scope", "billing:read", "--description", "Looks."))[0] == 0
    _, out, _ = await run("clients", "add", "shop", "--email", "s@example.com", "--role", "clerk", "--json")
    assert json.loads(out)["scopes"] == ["billing:read"]
    _, out, _ = await run("roles", "list", "--json")
    listed = {role["name"]: role for role in json.loads(out)}
    assert listed["clerk"] == {"name": "clerk", "description": "Looks.", "scopes": ["billing:read"]}
    assert "id_shop  enabled  billing:read  (clerk)  s@example.com" in (await run("clients", "list"))[1]
    code, _, err = await run("roles", "remove", "clerk")
    assert code == 1
    assert "held by id_shop" in err
    assert "reader is gone" in (await run("roles", "remove", "reader"))[1]


async def test_add_with_rotate_creates_or_rotates(run: Run) -> None:
    secrets = set()
    for _ in range(2):
        code, out, _ = await run(*ADD, "--rotate", "--json")
        assert code == 0
        secrets.add(json.loads(out)["client_secret"])
    assert len(secrets) == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("clients", "add", "a b", *ADD[3:]), "letters, digits and -_. only"),
        ((*ADD[:-1], "contacts:eat"), "unknown scope contacts:eat"),
        (ADD[:-2], "a client needs a scope or a role"),
        ((*ADD, "--role", "nobody"), "there is no role nobody"),
        (("roles", "set", "A b", "--scope", "contacts:read"), "small letters"),
        (("clients", "rotate", "nobody"), "there is no client id_nobody"),
        (("clients", "retire", "nobody"), "there is no client id_nobody"),
        (("clients", "disable", "nobody"), "there is no client id_nobody"),
    ],
)
async def test_refused_command_exits_1_with_one_line(
    run: Run, arguments: tuple[str, ...], complaint: str
) -> None:
    code, out, err = await run(*arguments)
    assert (code, out) == (1, "")
    assert complaint in err
    assert err.startswith("mainstem: ")
    assert err.count("\n") == 1


async def test_keys_are_rotated_and_listed_without_their_private_halves(run: Run) -> None:
    assert "signs in 60 seconds" in (await run("keys", "rotate"))[1]
    await run("keys", "rotate")
    _, out, _ = await run("keys", "list", "--json")
    first, second = json.loads(out)
    assert first["retired_at"] is not None
    assert second["retired_at"] is None
    assert "private" not in out
