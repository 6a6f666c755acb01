import asyncio
from typing import Any

import asyncpg
import httpx
import pytest
from servers import Database as OwnDatabase
from serving import serving
from sync_world import Environment, People, running_worker, until

from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.servers.postgres import Postgres
from mainstem.sandbox.stand_ins.faults import Fault, Faults, Kind
from mainstem.sync import worker as working_process
from mainstem.sync.settings import Settings

Owner = Any


async def test_two_workers_never_send_more_than_ten_at_once(
    people: People, environment: Environment, acoustic: AcousticStandIn, faults: Faults, owner: Owner
) -> None:
    faults.add(Fault("acoustic", Kind.DELAY, path="XMLAPI", delay_seconds=0.05, remaining=None))
    count = 60
    async with running_worker(environment, "one"), running_worker(environment, "two"):
        for number in range(count):
            await people.add(f"fan-{number}")
        await until(lambda: len(acoustic.holds()["main"]) == count, 30)
        await asyncio.sleep(0.3)
        # Once more with what both workers have learnt of each other.
        await owner.execute("UPDATE contact.delivery SET wanted = wanted + 1, base = NULL, due_at = now()")
        await until(lambda: acoustic.holds()["requests"]["accepted"] == 2 * count, 30)
    used = acoustic.holds()["requests"]
    assert used["rejected"] == 0
    assert 1 < used["most_at_once"] <= 10
    assert await owner.fetchval("SELECT count(*) FROM contact.delivery WHERE wanted > sent") == 0
    rows = await owner.fetch("SELECT outcome, count(*) FROM contact.delivery_log GROUP BY 1")
    assert [tuple(row) for row in rows] == [("success", 2 * count)]


async def test_a_change_is_relayed_and_delivered_by_the_running_worker(
    people: People, environment: Environment, acoustic: AcousticStandIn
) -> None:
    async with running_worker(environment, "one"):
        email_id = await people.add()
        await until(lambda: email_id in acoustic.holds()["main"])
        await people.subscribe("fan")
        await people.announce("fan")
        await until(lambda: email_id in acoustic.holds()["product"])


async def test_a_mark_that_arrives_during_a_delivery_is_delivered_right_after_it(
    people: People, environment: Environment, acoustic: AcousticStandIn, faults: Faults
) -> None:
    faults.add(Fault("acoustic", Kind.DELAY, path="XMLAPI", delay_seconds=0.3))
    async with running_worker(environment, "one"):
        email_id = await people.add()
        await until(lambda: faults.applied() == {"acoustic": 1})
        await people.patch(email_id, email={"first_name": "New"})
        await until(lambda: acoustic.holds()["main"].get(email_id, {}).get("first_name") == "New")


async def test_lost_connections_to_postgres_cost_a_pause(
    people: People,
    environment: Environment,
    acoustic: AcousticStandIn,
    postgres: Postgres,
    database: OwnDatabase,
) -> None:
    async with running_worker(environment, "one"):
        first = await people.add("first")
        await until(lambda: first in acoustic.holds()["main"])
        superuser = await asyncpg.connect(postgres.superuser_url(database.name))
        ended = await superuser.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'sync-worker' AND datname = $1",
            database.name,
        )
        await superuser.close()
        assert ended
        second = await people.add("second")
        await until(lambda: second in acoustic.holds()["main"], 20)


async def test_a_worker_that_stops_finishes_what_it_holds(
    people: People, environment: Environment, faults: Faults
) -> None:
    faults.add(Fault("acoustic", Kind.DELAY, path="XMLAPI", delay_seconds=0.5))
    email_id = await people.add()
    async with running_worker(environment, "one"):
        await until(lambda: faults.applied() == {"acoustic": 1})
    delivery = await people.delivery(email_id)
    assert (delivery["sent"], delivery["lease_token"]) == (1, None)


async def test_nothing_is_delivered_where_the_sync_is_off(
    people: People, environment: Environment, acoustic: AcousticStandIn, owner: Owner
) -> None:
    email_id = await people.add()
    await people.announce("fan")
    async with running_worker({**environment, "CTMS_ACOUSTIC_SYNC_FEATURE_FLAG": "0"}, "one"):
        async with asyncio.timeout(10):
            while (await people.delivery(email_id))["wanted"] < 2:  # noqa: ASYNC110 -- another process' work
                await asyncio.sleep(0.05)
    assert acoustic.received() == []


async def test_the_worker_says_how_it_is(environment: Environment) -> None:
    app = working_process.build(Settings(**environment))
    async with serving(app) as base, httpx.AsyncClient(base_url=base) as client:
        answer = await client.get("/__heartbeat__")
    assert answer.status_code == 200
    assert set(answer.json()) == {"database", "redis", "drain_relay", "drain_deliver"}
    assert answer.json()["redis"]["up"] is False


@pytest.mark.parametrize("flag", ["CTMS_ACOUSTIC_CLIENT_ID", "CTMS_ACOUSTIC_MAIN_TABLE_ID"])
def test_what_delivering_needs_is_demanded(environment: Environment, flag: str) -> None:
    told = Settings(**{**environment, flag: ""})
    assert told.contradictions() == [f"{flag} is needed to deliver to Acoustic"]
    assert (
        Settings(**{**environment, flag: "", "CTMS_ACOUSTIC_SYNC_FEATURE_FLAG": "0"}).contradictions() == []
    )
