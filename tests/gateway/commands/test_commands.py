import json
from collections.abc import Awaitable, Callable

import pytest
from gateway_process import served, start
from servers import Database
from tiny_gateway import GRANT, Upstream

from mainstem.sandbox.servers.ports import Ports

pytestmark = pytest.mark.slow

ADD = ("clients", "add", "demo", "--email", "demo@example.com", "--scope", "contacts:read")
Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def run(database: Database) -> Run:
    """Run a command on this test's database; return its exit code and what it said."""

    async def run(*arguments: str, url: str = database.urls["gateway"]) -> tuple[int, str, str]:
        process = await start({"DATABASE_URL": url}, *arguments)
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    return run


async def test_a_client_is_added_rotated_disabled_enabled_and_listed(run: Run) -> None:
    code, out, _ = await run(*ADD, "--scope", "contacts:write", "--json")
    added = json.loads(out)
    assert code == 0
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
    assert all(one["created_at"] and one["last_used_at"] is None for one in listed["credentials"])
    assert "enabled" in (await run("clients", "enable", "demo"))[1]


async def test_previous_secret_is_listed_until_it_is_retired_or_a_rotation_drops_it_at_once(run: Run) -> None:
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


async def test_a_role_is_set_given_listed_and_removed(run: Run) -> None:
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


async def test_adding_with_rotate_creates_or_rotates(run: Run) -> None:
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
async def test_what_cannot_be_done_is_said_in_one_line(
    run: Run, arguments: tuple[str, ...], complaint: str
) -> None:
    code, out, err = await run(*arguments)
    assert (code, out) == (1, "")
    assert complaint in err
    assert "Traceback" not in err


async def test_a_database_that_is_away_or_refuses_is_said_without_its_password(run: Run) -> None:
    code, _, err = await run("clients", "list", url="postgresql://gateway:hunter2@127.0.0.1:1/none")
    assert code == 1
    assert "the database does not serve this" in err
    assert "hunter2" not in err
    assert "Traceback" not in err


async def test_keys_are_rotated_and_listed_without_their_private_halves(run: Run, database: Database) -> None:
    assert "signs in 60 seconds" in (await run("keys", "rotate"))[1]
    await run("keys", "rotate")
    _, out, _ = await run("keys", "list", "--json")
    first, second = json.loads(out)
    assert first["retired_at"] is not None
    assert second["retired_at"] is None
    assert "private" not in out


async def test_the_served_gateway_believes_no_forwarded_address_and_ends_when_told(
    run: Run, database: Database, upstream: Upstream, ports: Ports
) -> None:
    _, out, _ = await run(*ADD, "--json")
    client = json.loads(out)
    environment = {
        "DATABASE_URL": database.urls["gateway"],
        **{f"MAINSTEM_UPSTREAM_{name}": upstream.url for name in ("SYNC", "INGEST", "BILLING")},
    }
    async with served(environment, ports.take()) as (_, http):
        answer = await http.post("/token", auth=(client["client_id"], client["client_secret"]), data=GRANT)
        bearer = f"Bearer {answer.json()['access_token']}"
        forged = {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https", "Authorization": bearer}
        answer = await http.get("/ctms?primary_email=a@example.com", headers=forged)
        assert answer.status_code == 200
        assert len(answer.headers.get_list("date")) == 1
        assert upstream.last.values("x-forwarded-for") == ["127.0.0.1"]
        assert upstream.last.values("x-forwarded-proto") == ["http"]


async def test_a_gateway_without_its_upstreams_says_what_is_missing(database: Database) -> None:
    process = await start({"DATABASE_URL": database.urls["gateway"]}, "serve", "--port", "0")
    _, err = await process.communicate()
    assert process.returncode == 1
    assert b"MAINSTEM_UPSTREAM_SYNC is not set" in err
    assert b"Traceback" not in err
