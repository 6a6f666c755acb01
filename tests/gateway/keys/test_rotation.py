"""Secrets of a client over time: two are live, each with its last use, and a proof ends with its secret."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tiny_gateway import CHEAP, GRANT, SECRET, CountedPool, Gateway

from mainstem.gateway.clients import storage as clients
from mainstem.gateway.clients.directory import Directory
from mainstem.gateway.clients.storage import ApiClient, ClientSecret

SECOND, THIRD = "secret_the-second", "secret_the-third"


async def login(gateway: Gateway, client_id: str, secret: str = SECRET) -> int:
    answer = await gateway.http.post("/token", data=GRANT, auth=(client_id, secret))
    return answer.status_code


async def rotate(gateway: Gateway, client_id: str, secret: str) -> None:
    async with gateway.pool.transaction() as connection:
        await clients.rotate(connection, client_id, secret_hash=CHEAP.hash(secret), at=datetime.now(UTC))


async def retire(gateway: Gateway, client_id: str) -> None:
    async with gateway.pool.transaction() as connection:
        await clients.retire(connection, client_id)


async def read(gateway: Gateway, client_id: str) -> ApiClient:
    async with gateway.pool.transaction() as connection:
        return await clients.get(connection, client_id)


async def used(gateway: Gateway, client_id: str, *, position: int) -> ClientSecret:
    """Return the secret once its use is stored."""
    async with asyncio.timeout(20):
        while True:
            secret = (await read(gateway, client_id)).secrets[position]
            if secret.last_used_at is not None:
                return secret
            await asyncio.sleep(0.01)


async def test_rotation_leaves_two_live_secrets_and_the_next_one_ends_the_older(gateway: Gateway) -> None:
    client_id = await gateway.add_client("demo")
    await retire(gateway, client_id)
    await rotate(gateway, client_id, SECOND)
    for secret in (SECRET, SECOND, SECRET, SECOND):
        assert await login(gateway, client_id, secret) == 200
    await rotate(gateway, client_id, THIRD)
    assert [await login(gateway, client_id, one) for one in (SECRET, SECOND, THIRD)] == [400, 200, 200]


async def test_retired_secret_is_refused_at_once_though_it_was_proven(gateway: Gateway) -> None:
    client_id = await gateway.add_client("demo")
    await rotate(gateway, client_id, SECOND)
    assert await login(gateway, client_id) == 200
    await retire(gateway, client_id)
    assert [await login(gateway, client_id, one) for one in (SECRET, SECOND)] == [400, 200]


async def test_proven_secret_is_refused_while_its_client_is_disabled(gateway: Gateway) -> None:
    client_id = await gateway.add_client("demo")
    for enabled, status in ((True, 200), (False, 400), (True, 200)):
        async with gateway.pool.transaction() as connection:
            await clients.set_enabled(connection, client_id, enabled=enabled)
        assert await login(gateway, client_id) == status


async def test_each_live_secret_shows_its_own_last_use(gateway: Gateway) -> None:
    client_id = await gateway.add_client("demo")
    await rotate(gateway, client_id, SECOND)
    before = datetime.now(UTC)
    await login(gateway, client_id, SECRET)
    previous = await used(gateway, client_id, position=1)
    assert previous.last_used_at is not None
    assert before <= previous.last_used_at <= datetime.now(UTC)
    assert (await read(gateway, client_id)).secrets[0].last_used_at is None
    await login(gateway, client_id, SECOND)
    await used(gateway, client_id, position=0)
    await login(gateway, client_id, "wrong")
    assert (await read(gateway, client_id)).secrets[1] == previous


@pytest.mark.parametrize(("seconds_ago", "writes"), [(None, 1), (5, 0), (65, 1)])
async def test_last_use_is_stored_once_a_minute(
    gateway: Gateway, seconds_ago: int | None, writes: int
) -> None:
    counted = CountedPool(gateway.pool)
    directory = Directory(counted)
    now = datetime.now(UTC)
    last_used_at = None if seconds_ago is None else now - timedelta(seconds=seconds_ago)
    for _ in range(3):
        directory.note_use("id_nobody", ClientSecret("hash", now, last_used_at))
    await directory.aclose()
    assert counted.transactions == writes


async def test_use_that_cannot_be_stored_is_lost_and_harms_nobody(gateway: Gateway) -> None:
    counted = CountedPool(gateway.pool)
    directory = Directory(counted)
    counted.is_away = True
    directory.note_use("id_nobody", ClientSecret("hash", datetime.now(UTC), None))
    await directory.aclose()
    assert counted.transactions == 1
