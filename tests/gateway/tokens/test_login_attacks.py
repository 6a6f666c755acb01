"""Token requests while others fail theirs: from other addresses, from the same one, on the same client."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import httpx
import pytest
from tiny_gateway import GRANT, SECRET, Gateway, StartGateway

from mainstem.gateway.clients import storage as clients
from mainstem.gateway.clients.secrets import hash_secret

NEW_SECRET = "secret_after-a-rotation"
ATTACKER, HOME = "127.0.0.2", "127.0.0.3"

Login = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    """A gateway that no failure of another test has reached."""
    return await start_gateway()


@pytest.fixture
async def login(gateway: Gateway) -> AsyncIterator[Login]:
    """Request a token from any loopback address."""
    opened: dict[str, httpx.AsyncClient] = {}
    async with AsyncExitStack() as stack:

        async def login(client_id: str, secret: str = SECRET, *, address: str) -> httpx.Response:
            if address not in opened:
                transport = httpx.AsyncHTTPTransport(local_address=address)
                client = httpx.AsyncClient(transport=transport, base_url=gateway.url, timeout=60)
                opened[address] = await stack.enter_async_context(client)
            return await opened[address].post("/token", data=GRANT, auth=(client_id, secret))

        yield login


async def add_clients(gateway: Gateway, number: int) -> list[str]:
    return [await gateway.add_client(f"client-{one}") for one in range(number)]


def attack(
    login: Login, client_ids: list[str], address: str = ATTACKER
) -> list[asyncio.Task[httpx.Response]]:
    """Start fifty bad logins at once, on known and unknown clients."""
    known = client_ids[:3]
    targets = [*known, *(f"id_nobody-{one}" for one in range(3))]
    return [
        asyncio.ensure_future(login(targets[one % len(targets)], f"wrong-{one}", address=address))
        for one in range(50)
    ]


async def statuses(logins: list[asyncio.Task[httpx.Response]]) -> set[int]:
    return {answer.status_code for answer in await asyncio.gather(*logins)}


async def test_fifty_bad_logins_at_once_refuse_no_client_at_another_address(
    gateway: Gateway, login: Login
) -> None:
    client_ids = await add_clients(gateway, 40)
    addresses = [f"127.0.1.{1 + one}" for one in range(40)]
    homes = list(zip(client_ids, addresses, strict=True))
    assert await statuses([asyncio.ensure_future(login(one, address=home)) for one, home in homes[:20]]) == {
        200
    }
    bad = attack(login, client_ids)
    honest = [asyncio.ensure_future(login(one, address=home)) for one, home in homes]
    assert await statuses(honest) == {200}
    assert await statuses(bad) <= {400, 429}


async def test_fifty_bad_logins_at_once_refuse_no_client_behind_the_same_address(
    gateway: Gateway, login: Login
) -> None:
    client_ids = await add_clients(gateway, 40)
    bad = attack(login, [])
    honest = [asyncio.ensure_future(login(one, address=ATTACKER)) for one in client_ids]
    assert await statuses(honest) == {200}
    assert await statuses(bad) <= {400, 429}


async def test_client_with_a_proof_is_accepted_though_its_id_and_address_are_over_every_limit(
    gateway: Gateway, login: Login
) -> None:
    (client_id,) = await add_clients(gateway, 1)
    assert (await login(client_id, address=HOME)).status_code == 200
    bad = [asyncio.ensure_future(login(client_id, f"wrong-{one}", address=HOME)) for one in range(50)]
    assert await statuses([*bad, *attack(login, [client_id], HOME)]) == {400, 429}
    assert (await login(client_id, address=HOME)).status_code == 200
    assert (await login(client_id, address=ATTACKER)).status_code == 200


async def test_attack_on_an_id_bars_neither_a_new_address_nor_a_new_secret_of_its_client(
    gateway: Gateway, login: Login
) -> None:
    new, rotated = await add_clients(gateway, 2)
    assert (await login(rotated, address=HOME)).status_code == 200
    await statuses(attack(login, [new, rotated]))
    async with gateway.pool.transaction() as connection:
        await clients.rotate(connection, rotated, secret_hash=hash_secret(NEW_SECRET), at=datetime.now(UTC))
        await clients.retire(connection, rotated)
    assert (await login(new, address=HOME)).status_code == 200
    assert (await login(rotated, NEW_SECRET, address=HOME)).status_code == 200


@pytest.mark.parametrize("is_known", [True, False])
async def test_bad_logins_on_one_id_are_refused_whether_or_not_its_client_exists(
    gateway: Gateway, login: Login, is_known: bool
) -> None:
    client_id = await gateway.add_client("demo") if is_known else "id_nobody"
    bad = [asyncio.ensure_future(login(client_id, f"wrong-{one}", address=ATTACKER)) for one in range(30)]
    answers = await asyncio.gather(*bad)
    assert {answer.status_code for answer in answers} == {400, 429}
    refusal = next(answer for answer in answers if answer.status_code == 429)
    assert refusal.headers["content-type"] == "application/problem+json"
    assert 1 <= int(refusal.headers["retry-after"]) <= 10
    assert refusal.json()["error"] == "temporarily_unavailable"


async def test_bad_logins_on_many_ids_are_refused_by_their_address(gateway: Gateway, login: Login) -> None:
    answers = [
        asyncio.ensure_future(login(f"id_nobody-{one}", "wrong", address=ATTACKER)) for one in range(90)
    ]
    assert await statuses(answers) == {400, 429}
    assert (await login("id_nobody", "wrong", address=HOME)).status_code == 400
