import asyncio
import time
from datetime import UTC, datetime, timedelta

import asyncpg
import jwt
import pytest
from servers import Database
from tiny_gateway import CountedPool, Gateway, StartGateway, Upstream

from mainstem.common.database.pool import Transactions, open_pool
from mainstem.common.errors import UnavailableError
from mainstem.gateway.clients.directory import Directory
from mainstem.gateway.keys import storage as keys
from mainstem.gateway.keys.ring import KeyRing

CONTACT = "/ctms/332de237-cab7-4461-bcc3-48e68f42bd5c"


async def published(gateway: Gateway) -> list[str]:
    answer = await gateway.http.get("/.well-known/jwks.json")
    return [key["kid"] for key in answer.json()["keys"]]


async def rotate(pool: Transactions, *, ahead_seconds: float = 60.0) -> str:
    async with pool.transaction() as connection:
        return await keys.rotate(connection, datetime.now(UTC), ahead_seconds=ahead_seconds)


async def retire(pool: Transactions, *, seconds_ago: float) -> None:
    """Move the first key's retirement into the past."""
    async with pool.transaction() as connection:
        await connection.execute(
            "UPDATE gateway.signing_key SET retired_at = $1 WHERE retired_at IS NOT NULL",
            datetime.now(UTC) - timedelta(seconds=seconds_ago),
        )


async def test_gateways_that_start_at_once_agree_on_one_key(start_gateway: StartGateway) -> None:
    gateways = await asyncio.gather(*(start_gateway() for _ in range(4)))
    lists = [await published(gateway) for gateway in gateways]
    assert len(lists[0]) == 1
    assert all(one == lists[0] for one in lists)


async def test_whoever_makes_the_first_key_makes_others_wait_and_find_it(database: Database) -> None:
    async def ensure() -> None:
        async with pool.transaction() as connection:
            await keys.ensure(connection, datetime.now(UTC))

    async with open_pool(database.urls["gateway"], name="test") as pool:
        async with pool.transaction() as connection:
            await keys.ensure(connection, datetime.now(UTC))
            other = asyncio.create_task(ensure())
            await asyncio.sleep(0.3)
            assert not other.done()
        await other
        async with pool.transaction() as connection:
            assert len(await keys.list_all(connection)) == 1


async def test_a_rotation_refuses_nobody_at_any_gateway(
    start_gateway: StartGateway, upstream: Upstream
) -> None:
    gateways = [await start_gateway(key_ahead_seconds=1.2) for _ in range(2)]
    client_id = await gateways[0].add_client("demo")
    tokens = [await gateways[0].token(client_id)]
    (old,) = await published(gateways[0])
    new = await rotate(gateways[0].pool, ahead_seconds=1.2)
    stop_at = time.monotonic() + 2.5
    while time.monotonic() < stop_at:
        for issuing, serving in (gateways, gateways[::-1]):
            tokens.append(await issuing.token(client_id))
            for token in (tokens[0], tokens[-1]):
                answer = await serving.http.get(CONTACT, headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == 200
    assert [jwt.get_unverified_header(token)["kid"] for token in (tokens[0], tokens[-1])] == [old, new]
    assert await published(gateways[0]) == await published(gateways[1]) == [old, new]


async def test_a_service_that_knew_only_the_old_key_accepts_identities_of_the_new(
    start_gateway: StartGateway, upstream: Upstream
) -> None:
    gateway = await start_gateway(key_ahead_seconds=0.3)
    bearer = await gateway.bearer(await gateway.add_client("demo"))
    await gateway.http.get(CONTACT, headers=bearer)
    await gateway.caller_of(upstream.last)
    gateway.key_set._next_refresh = 0.0  # as it is five seconds after it learned the old one
    new = await rotate(gateway.pool)
    await asyncio.sleep(0.6)
    bearer = await gateway.bearer(await gateway.add_client("other"))
    await gateway.http.get(CONTACT, headers=bearer)
    (authorization,) = upstream.last.values("authorization")
    assert jwt.get_unverified_header(authorization.removeprefix("Bearer "))["kid"] == new
    assert (await gateway.caller_of(upstream.last)).subject.startswith("api_client:id_other")


async def test_a_new_key_is_published_before_it_signs(gateway: Gateway) -> None:
    ring = KeyRing(gateway.pool, ahead_seconds=60)
    await ring.open()
    before, _ = ring.signing()
    new = await rotate(gateway.pool)
    await ring._reload()
    assert new in {key["kid"] for key in ring.published()}
    assert ring.signing()[0] == before
    impatient = KeyRing(gateway.pool, ahead_seconds=0)
    await impatient.open()
    assert impatient.signing()[0] == new


async def test_a_retired_key_is_published_as_long_as_its_tokens_may_live_then_dropped(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway()
    (old,) = await published(gateway)
    await rotate(gateway.pool)
    for seconds_ago, is_published in ((3_600, True), (3_600 + 60 + 301, False)):
        await retire(gateway.pool, seconds_ago=seconds_ago)
        ring = KeyRing(gateway.pool, ahead_seconds=60)
        await ring.open()
        assert ring.holds(old) is is_published
    await retire(gateway.pool, seconds_ago=2 * 3_600 + 61)
    await rotate(gateway.pool)
    async with gateway.pool.transaction() as connection:
        assert old not in {key.key_id for key in await keys.list_all(connection)}


async def test_a_token_of_a_key_that_was_withdrawn_is_refused_though_remembered(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway(key_ahead_seconds=0.3)
    bearer = await gateway.bearer(await gateway.add_client("demo"))
    assert (await gateway.http.get(CONTACT, headers=bearer)).status_code == 200
    await rotate(gateway.pool)
    async with gateway.pool.transaction() as connection:
        await connection.execute("DELETE FROM gateway.signing_key WHERE retired_at IS NOT NULL")
    await asyncio.sleep(0.5)
    assert (await gateway.http.get(CONTACT, headers=bearer)).status_code == 401


async def test_unknown_key_ids_cost_one_look_and_a_database_that_is_away_costs_no_key(
    gateway: Gateway,
) -> None:
    counted = CountedPool(gateway.pool)
    ring = KeyRing(counted, ahead_seconds=60)
    await ring.open()
    counted.transactions, counted.is_away = 0, True
    found = await asyncio.gather(*(ring.find(f"unknown-{number}") for number in range(50)))
    assert found == [None] * 50
    assert counted.transactions == 1
    key_id, _ = ring.signing()
    assert await ring.find(key_id) is not None


async def test_clients_that_cannot_be_read_are_a_503_and_read_again_afterwards(gateway: Gateway) -> None:
    client_id = await gateway.add_client("demo")
    counted = CountedPool(gateway.pool)
    directory = Directory(counted)
    counted.is_away = True
    with pytest.raises(UnavailableError):
        await directory.find(client_id)
    counted.is_away = False
    assert await directory.find(client_id) is not None


async def test_the_private_half_is_for_the_gateways_login_alone(database: Database) -> None:
    connection = await asyncpg.connect(database.urls["sync"])
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM gateway.signing_key")
    finally:
        await connection.close()
