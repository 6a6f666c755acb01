"""The worker and its commands, whole."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import stripe_events as events
from ingest_bench import Ingest
from pydantic import SecretStr
from servers import Database
from serving import serving

from mainstem.common.clock import SystemClock
from mainstem.ingest.inbox.backlog import Backlog
from mainstem.ingest.settings import Settings
from mainstem.ingest.subscriptions.sets import CTMS
from mainstem.ingest.subscriptions.storage import activate
from mainstem.ingest.worker import build


def settings(database: Database, **more: Any) -> Settings:
    return Settings(database_url=SecretStr(database.urls["ingest"]), **more)


async def until(ingest: Ingest, query: str) -> None:
    """Return once the query has a row."""
    async with asyncio.timeout(30):
        while not await ingest.rows(query):  # noqa: ASYNC110 -- Postgres is what is waited for
            await asyncio.sleep(0.05)


async def test_a_worker_finds_its_work_without_redis(database: Database, ingest: Ingest) -> None:
    ingest.clock.time = SystemClock().now()
    await ingest.record(
        events.event("customer.created", events.customer()),
        events.event("customer.subscription.created", events.subscription()),
    )
    async with serving(build(settings(database))) as url, httpx.AsyncClient(base_url=url) as client:
        await until(ingest, "SELECT WHERE NOT EXISTS (SELECT FROM inbox.event WHERE status <> 'done')")
        answer = await client.get("/__heartbeat__")
        assert answer.status_code == 200
        assert answer.json()["drain_payload"]["up"] is True
        assert answer.json()["redis"]["up"] is False
        metrics = (await client.get("/metrics")).text
    assert await ingest.segments() == {("fxa-1", "prod_1"): "active"}
    assert "mainstem_events_processed_total" in metrics
    assert "mainstem_oldest_event_age" in metrics


async def test_an_account_with_a_key_is_fetched_and_its_epoch_stands(
    database: Database, ingest: Ingest
) -> None:
    await ingest.record(events.event("customer.created", events.customer()))
    app = build(
        settings(database, stripe_api_key="sk_test_1", stripe_api_base="http://127.0.0.1:9", instance="w-1")
    )
    async with serving(app):
        await until(ingest, "SELECT FROM inbox.event WHERE failures > 0")
    (row,) = await ingest.rows("SELECT mode, epoch FROM inbox.account")
    assert row == {"mode": "fetch", "epoch": 0}
    (row,) = await ingest.rows("SELECT status, last_error, lease_token FROM inbox.event")
    assert row == {
        "status": "received",
        "last_error": "Stripe did not answer: APIConnectionError",
        "lease_token": None,
    }


async def read_metrics(client: httpx.AsyncClient) -> str:
    """Return the metrics, without the labels that OpenTelemetry adds."""
    return re.sub(r'otel_scope_\w+="[^"]*",?', "", (await client.get("/metrics")).text).replace("{}", "")


def is_measured(name: str, value: float, metrics: str) -> bool:
    return f"{name} {float(value)}" in metrics


async def test_worker_finishes_a_walk_that_was_interrupted_and_measures_it(
    database: Database, ingest: Ingest
) -> None:
    await ingest.take(
        events.event("customer.created", events.customer()),
        events.event("customer.subscription.created", events.subscription(status="trialing")),
    )
    async with ingest.pool.transaction() as connection:
        await activate(connection, CTMS, ingest.clock.now())
    app = build(settings(database, product_rules="mainstem"))
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as client:
        await until(
            ingest,
            "SELECT FROM subscription.rule_activation WHERE name <> 'mainstem' AND completed_at IS NOT NULL",
        )
        async with asyncio.timeout(10):
            while not is_measured("mainstem_rules_walk_unfinished", 0, await read_metrics(client)):  # noqa: ASYNC110 -- over HTTP
                await asyncio.sleep(0.05)
        assert is_measured('mainstem_rules_active{rules="ctms-1.1.0"}', 1, await read_metrics(client))
    assert await ingest.segments() == {("fxa-1", "prod_1"): "other"}


async def test_the_age_of_the_oldest_event_is_measured(ingest: Ingest) -> None:
    backlog = Backlog(ingest.pool, ingest.clock)
    assert await backlog.age_seconds() == 0
    await ingest.record(events.event("customer.created", events.customer()))
    ingest.clock.move(minutes=5)
    assert await backlog.age_seconds() == 300
    await ingest.work_off()
    assert await backlog.age_seconds() == 0


def run(database: Database, *arguments: str) -> list[Any]:
    environment = {**os.environ, "DATABASE_URL": database.urls["ingest"]}
    script = Path(sys.executable).with_name("mainstem")
    answer = subprocess.run(
        [script, "ingest", *arguments], env=environment, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in answer.stdout.splitlines()]


async def test_dead_events_are_listed_and_replayed_by_command(database: Database, ingest: Ingest) -> None:
    await ingest.record(events.event("customer.created", {"id": "cus_1", "object": "customer"}))
    await ingest.pipeline(failures_to_dead=1).work()
    (dead,) = await asyncio.to_thread(run, database, "events", "list", "--status", "dead")
    assert dead["type"] == "customer.created"
    assert "missing required field" in dead["last_error"]
    (answer,) = await asyncio.to_thread(run, database, "events", "replay", str(dead["id"]), "999")
    assert answer == {"replayed": [dead["id"]], "left": [999]}
    assert set((await ingest.statuses()).values()) == {"received"}


async def test_accounts_are_listed_and_a_stopped_one_is_accepted_by_command(
    database: Database, ingest: Ingest
) -> None:
    await ingest.rows(
        "INSERT INTO inbox.account (provider, account, mode, epoch, provider_id, problem)"
        " VALUES ('stripe', 'default', 'fetch', 0, 'acct_1', 'another key') RETURNING 1"
    )
    (listed,) = await asyncio.to_thread(run, database, "accounts", "list")
    assert (listed["account"], listed["provider_id"], listed["problem"]) == (
        "default",
        "acct_1",
        "another key",
    )
    kept = {"provider": "stripe", "account": "default", "provider_id": "acct_1"}
    assert await asyncio.to_thread(run, database, "accounts", "accept", "default") == [kept]
    changed = await asyncio.to_thread(run, database, "accounts", "accept", "default", "acct_2")
    assert changed == [{**kept, "provider_id": "acct_2"}]
    (row,) = await ingest.rows("SELECT provider_id, problem FROM inbox.account")
    assert row == {"provider_id": "acct_2", "problem": None}


def test_command_without_its_database_ends_in_one_sentence() -> None:
    command = [str(Path(sys.executable).with_name("mainstem")), "ingest", "events", "list"]
    nowhere = "postgresql://login:secret-word@127.0.0.1:9/mainstem"
    ended = subprocess.run(
        command, env={"DATABASE_URL": nowhere}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr == "mainstem: the database does not serve this: ConnectionRefusedError\n"
