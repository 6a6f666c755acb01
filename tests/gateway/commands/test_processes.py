"""Commands of the gateway as processes: one of each group, and the server."""

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
    """Run a process on this test's database; return its exit code, its output and its error."""

    async def run(*arguments: str, url: str = database.urls["gateway"]) -> tuple[int, str, str]:
        process = await start({"DATABASE_URL": url}, *arguments)
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    return run


async def test_client_command_writes_one_line_to_its_error_when_refused(run: Run) -> None:
    code, out, err = await run("clients", "rotate", "nobody")
    assert (code, out, err) == (1, "", "mainstem: there is no client id_nobody\n")


async def test_role_command_stores_a_role(run: Run) -> None:
    code, out, err = await run("roles", "set", "clerk", "--scope", "billing:read")
    assert (code, out, err) == (0, "role clerk allows billing:read\n", "")


async def test_key_command_reads_its_delay_from_the_environment_default(run: Run) -> None:
    code, out, err = await run("keys", "rotate")
    assert (code, err) == (0, "")
    assert "signs in 60 seconds" in out


async def test_unreachable_database_is_reported_without_its_password(run: Run) -> None:
    code, _, err = await run("clients", "list", url="postgresql://gateway:hunter2@127.0.0.1:1/none")
    assert code == 1
    assert "the database does not serve this" in err
    assert "hunter2" not in err
    assert "Traceback" not in err


async def test_served_gateway_trusts_no_forwarded_address_and_ends_on_sigterm(
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


async def test_gateway_without_upstreams_names_the_missing_settings(database: Database) -> None:
    process = await start({"DATABASE_URL": database.urls["gateway"]}, "serve", "--port", "0")
    _, err = await process.communicate()
    assert process.returncode == 1
    assert b"MAINSTEM_UPSTREAM_SYNC is not set" in err
    assert b"Traceback" not in err
