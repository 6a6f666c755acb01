"""Every service while Postgres hangs: each request and heartbeat is a 503 in time, and works afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import Any

import asyncpg
import httpx
import pytest
import stripe
import stripe_events as events
from hanging import Hanging, hanging
from servers import Database
from serving import serving
from sync_world import Gateway as Keys

from mainstem.sandbox.servers.postgres import Postgres

pytestmark = pytest.mark.alone

NOWHERE = "http://127.0.0.1:9"
SECRET = "whsec_test"
CONTACT = {"email": {"primary_email": "fan@example.com", "email_id": "00000000-0000-4000-8000-000000000001"}}
ACCOUNT = "/billing/accounts/fxa_id/fan"
BODY = events.event("customer.created", events.customer()).decode()

MORE: dict[str, dict[str, Any]] = {
    "gateway": {f"upstream_{name}": NOWHERE for name in ("ingest", "sync", "billing")},
    "ingest": {"stripe_webhook_secrets": SECRET},
}
LOGIN = {"grant_type": "client_credentials", "client_id": "id_fan", "client_secret": "secret_x"}
REQUESTS: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "gateway": [("POST", "/token", {"data": LOGIN})],
    "ingest": [
        ("POST", "/webhooks/stripe", {"content": BODY}),
        ("POST", "/webhooks/stripe", {"content": BODY}),
    ],
    "sync": [
        ("POST", "/ctms", {"json": CONTACT}),
        ("GET", f"/ctms/{CONTACT['email']['email_id']}", {}),
        ("PATCH", f"/ctms/{CONTACT['email']['email_id']}", {"json": {"email": {"first_name": "Ann"}}}),
        ("GET", "/ctms?primary_email=fan@example.com", {}),
    ],
    "billing": [
        ("PUT", ACCOUNT, {"json": {"email": "fan@example.com"}}),
        ("GET", ACCOUNT, {}),
        ("GET", "/billing/subscriptions?owner_kind=fxa_id&owner_value=fan", {}),
    ],
}
"""What is asked of each service; all of it reads or writes."""


class Door:
    """One service over real HTTP, and its way to Postgres."""

    def __init__(self, service: str, way: Hanging, client: httpx.AsyncClient) -> None:
        self.service, self.way, self._client = service, way, client

    async def ask(self) -> list[httpx.Response]:
        return list(await asyncio.gather(*(self._ask(*one) for one in REQUESTS[self.service])))

    async def heartbeat(self) -> int:
        return (await self._client.get("/__heartbeat__")).status_code

    async def _ask(self, method: str, path: str, given: dict[str, Any]) -> httpx.Response:
        headers = {}
        if "content" in given:
            moment = int(time.time())
            signature = stripe.WebhookSignature.generate_signature_header(given["content"], SECRET, moment)
            headers["Stripe-Signature"] = signature
        return await self._client.request(method, path, headers=headers, **given)


@asynccontextmanager
async def open_doors(database: Database) -> AsyncIterator[list[Door]]:
    keys = Keys()
    async with AsyncExitStack() as stack:
        jwks = await stack.enter_async_context(serving(keys.app))
        opened = []
        for service in REQUESTS:
            way = await stack.enter_async_context(hanging(database.urls[service]))
            values = {
                "database_url": way.url(database.urls[service]),
                "identity_jwks_url": f"{jwks}/.well-known/jwks.json",
                **MORE.get(service, {}),
            }
            settings = import_module(f"mainstem.{service}.settings").Settings(**values)
            url = await stack.enter_async_context(
                serving(import_module(f"mainstem.{service}.app").build(settings))
            )
            headers = {} if service == "gateway" else {"Authorization": f"Bearer {keys.identity(service)}"}
            # A connection that is kept may be closed by the server just as the next request uses it.
            limits = httpx.Limits(max_keepalive_connections=0)
            client = httpx.AsyncClient(base_url=url, headers=headers, timeout=60, limits=limits)
            opened.append(Door(service, way, await stack.enter_async_context(client)))
        yield opened


async def answers_of(doors: list[Door]) -> dict[str, list[int]]:
    answers = await asyncio.gather(*(door.ask() for door in doors))
    return {
        door.service: [one.status_code for one in found] for door, found in zip(doors, answers, strict=True)
    }


def unavailable(doors: list[Door]) -> dict[str, list[int]]:
    return {door.service: [503] * len(REQUESTS[door.service]) for door in doors}


async def fail_in_time(doors: list[Door]) -> None:
    for door in doors:
        door.way.flows.clear()
    # Ten seconds are promised; the rest is a busy machine's.
    async with asyncio.timeout(15):
        hung, heartbeats = await asyncio.gather(
            answers_of(doors), asyncio.wait_for(asyncio.gather(*(door.heartbeat() for door in doors)), 8)
        )
    assert hung == unavailable(doors)
    assert heartbeats == [503] * len(doors)
    for door in doors:
        door.way.flows.set()
    after = await answers_of(doors)
    assert all(status < 500 for statuses in after.values() for status in statuses), after
    assert await asyncio.gather(*(door.heartbeat() for door in doors)) == [200] * len(doors)


async def test_every_request_is_a_503_in_time_and_works_when_postgres_answers_again(
    database: Database,
) -> None:
    async with open_doors(database) as unconnected, open_doors(database) as connected:
        for _ in range(5):
            before = await answers_of(connected)
        assert all(status < 500 for statuses in before.values() for status in statuses), before
        # Both wait for their time limits, so they wait together.
        async with asyncio.TaskGroup() as group:
            group.create_task(fail_in_time(unconnected))
            group.create_task(fail_in_time(connected))


@pytest.fixture
async def doors(database: Database) -> AsyncIterator[list[Door]]:
    async with open_doors(database) as opened:
        yield opened


async def test_after_a_failover_each_process_finds_the_server_that_may_be_written_to(
    doors: list[Door], database: Database, postgres: Postgres
) -> None:
    owner = await asyncpg.connect(postgres.superuser_url(database.name))
    try:
        await answers_of(doors)
        await owner.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        # All that is fresh now is read-only, as on a standby; the first request may find a closed connection.
        await answers_of(doors)
        assert await asyncio.gather(*(door.heartbeat() for door in doors)) == [503] * len(doors)
        statuses = await answers_of(doors)
        assert (statuses["ingest"], statuses["sync"][2], statuses["billing"][0]) == ([503] * 2, 503, 503)
        await owner.execute("SET default_transaction_read_only = off")
        await owner.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = off")
        # What is pooled is read-only still: each pool gives such a connection out once at most.
        await answers_of(doors)
        after = await answers_of(doors)
        assert all(status < 500 for found in after.values() for status in found), after
        assert await asyncio.gather(*(door.heartbeat() for door in doors)) == [200] * len(doors)
    finally:
        await owner.close()
