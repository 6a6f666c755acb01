"""Logins while others fail theirs: from other addresses, from the same one, on the same client.

Time stands still, so that nothing is forgiven meanwhile. The last two tests call a gateway over HTTP: one in
real time and at the real cost of a hash, the other for the refusal itself.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, closing
from datetime import UTC, datetime

import httpx
import pytest
from tiny_gateway import CHEAP, GRANT, SECRET, Gateway, StartGateway

from mainstem.common.errors import TooManyRequestsError
from mainstem.gateway.clients import storage as clients
from mainstem.gateway.clients.directory import Directory
from mainstem.gateway.clients.secrets import Comparison, hash_secret
from mainstem.gateway.tokens.authentication import Authentication, LoginAttempt
from mainstem.gateway.tokens.credentials import Credentials, CredentialsError

NEW_SECRET = "secret_after-a-rotation"
ATTACKER, HOME = "127.0.0.2", "127.0.0.3"

Login = Callable[..., Awaitable[int]]
Post = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def login(gateway: Gateway) -> AsyncIterator[Login]:
    """Authenticate at limits that no other test has reached; return the status of the answer."""
    async with aclosing(Directory(gateway.pool)) as directory:
        with closing(Comparison(CHEAP)) as comparison:
            authentication = Authentication(directory, comparison, monotonic=lambda: 1000.0)

            async def login(client_id: str, secret: str = SECRET, *, address: str) -> int:
                attempt = LoginAttempt(Credentials(client_id, secret, "form"), address)
                try:
                    await authentication.authenticate(attempt)
                except (CredentialsError, TooManyRequestsError) as error:
                    return int(error.status)
                return 200

            yield login


@asynccontextmanager
async def calling(gateway: Gateway, address: str) -> AsyncIterator[Post]:
    """Request tokens over HTTP from an address."""
    transport = httpx.AsyncHTTPTransport(local_address=address)
    async with httpx.AsyncClient(transport=transport, base_url=gateway.url, timeout=60) as client:

        async def post(client_id: str, secret: str = SECRET) -> httpx.Response:
            return await client.post("/token", data=GRANT, auth=(client_id, secret))

        yield post


async def add_clients(gateway: Gateway, count: int) -> list[str]:
    return [await gateway.add_client(f"client-{number}") for number in range(count)]


def attack(login: Login, client_ids: list[str], address: str = ATTACKER) -> list[asyncio.Task[int]]:
    """Start fifty bad logins at once, on known and unknown clients."""
    targets = [*client_ids[:3], *(f"id_nobody-{number}" for number in range(3))]
    return [
        asyncio.ensure_future(login(targets[number % len(targets)], f"wrong-{number}", address=address))
        for number in range(50)
    ]


async def statuses(logins: list[asyncio.Task[int]]) -> Counter[int]:
    return Counter(await asyncio.gather(*logins))


async def test_fifty_bad_logins_at_once_refuse_no_client_at_another_address(
    gateway: Gateway, login: Login
) -> None:
    client_ids = await add_clients(gateway, 40)
    homes = [(client_id, f"127.0.1.{number}") for number, client_id in enumerate(client_ids, start=1)]
    known = [asyncio.ensure_future(login(client_id, address=home)) for client_id, home in homes[:20]]
    assert await statuses(known) == {200: 20}
    bad = attack(login, client_ids)
    honest = [asyncio.ensure_future(login(client_id, address=home)) for client_id, home in homes]
    assert await statuses(honest) == {200: 40}
    assert (await statuses(bad)).keys() <= {400, 429}


async def test_fifty_bad_logins_at_once_refuse_no_client_behind_the_same_address(
    gateway: Gateway, login: Login
) -> None:
    client_ids = await add_clients(gateway, 40)
    bad = attack(login, [])
    honest = [asyncio.ensure_future(login(client_id, address=ATTACKER)) for client_id in client_ids]
    assert await statuses(honest) == {200: 40}
    assert (await statuses(bad)).keys() <= {400, 429}


async def test_client_with_a_proof_is_accepted_though_its_id_and_address_are_over_every_limit(
    gateway: Gateway, login: Login
) -> None:
    (client_id,) = await add_clients(gateway, 1)
    assert await login(client_id, address=HOME) == 200
    bad = [asyncio.ensure_future(login(client_id, f"wrong-{number}", address=HOME)) for number in range(50)]
    assert (await statuses([*bad, *attack(login, [client_id], HOME)])).keys() == {400, 429}
    assert await login(client_id, address=HOME) == 200
    assert await login(client_id, address=ATTACKER) == 200


async def test_attack_on_an_id_bars_neither_a_new_address_nor_a_new_secret_of_its_client(
    gateway: Gateway, login: Login
) -> None:
    new, rotated = await add_clients(gateway, 2)
    assert await login(rotated, address=HOME) == 200
    await statuses(attack(login, [new, rotated]))
    async with gateway.pool.transaction() as connection:
        await clients.rotate(connection, rotated, secret_hash=CHEAP.hash(NEW_SECRET), at=datetime.now(UTC))
        await clients.retire(connection, rotated)
    assert await login(new, address=HOME) == 200
    assert await login(rotated, NEW_SECRET, address=HOME) == 200


@pytest.mark.parametrize("is_known", [True, False])
async def test_eleventh_bad_login_on_one_id_is_refused_whether_or_not_its_client_exists(
    gateway: Gateway, login: Login, is_known: bool
) -> None:
    client_id = await gateway.add_client("demo") if is_known else "id_nobody"
    wrong = [f"wrong-{number}" for number in range(30)]
    bad = [asyncio.ensure_future(login(client_id, secret, address=ATTACKER)) for secret in wrong]
    assert await statuses(bad) == {400: 10, 429: 20}


async def test_bad_logins_on_many_ids_are_refused_by_their_address(login: Login) -> None:
    bad = [
        asyncio.ensure_future(login(f"id_nobody-{number}", "wrong", address=ATTACKER)) for number in range(90)
    ]
    assert await statuses(bad) == {400: 60, 429: 30}
    assert await login("id_nobody", "wrong", address=HOME) == 400


async def test_fifty_bad_logins_at_once_over_http_refuse_no_client_behind_the_same_address(
    start_shared_gateway: StartGateway,
) -> None:
    gateway = await start_shared_gateway()
    secret_hash = hash_secret(SECRET)
    client_ids = [await gateway.add_client("client", secret_hash=secret_hash) for _ in range(20)]
    async with calling(gateway, ATTACKER) as post:
        bad = [asyncio.ensure_future(post(f"id_nobody-{number}", "wrong")) for number in range(50)]
        honest = [asyncio.ensure_future(post(client_id)) for client_id in client_ids]
        assert Counter(answer.status_code for answer in await asyncio.gather(*honest)) == {200: 20}
        assert Counter(answer.status_code for answer in await asyncio.gather(*bad)) == {400: 50}


@pytest.mark.parametrize("is_known", [True, False])
async def test_refused_login_names_the_seconds_to_wait_and_binds_its_own_address_alone(
    start_shared_gateway: StartGateway, is_known: bool
) -> None:
    gateway = await start_shared_gateway()
    known = await gateway.add_client("demo")
    async with calling(gateway, ATTACKER) as post:
        client_id = known if is_known else "id_nobody"
        answers = await asyncio.gather(*[post(client_id, "wrong") for _ in range(15)])
        assert {answer.status_code for answer in answers} == {400, 429}
        refusal = next(answer for answer in answers if answer.status_code == 429)
        assert refusal.headers["content-type"] == "application/problem+json"
        assert 1 <= int(refusal.headers["retry-after"]) <= 10
        assert refusal.json()["error"] == "temporarily_unavailable"
    async with calling(gateway, HOME) as post:
        assert (await post(known)).status_code == 200
