"""Shares of client addresses, direct and behind a trusted proxy."""

import asyncio

import httpx
import pytest
from guarded_app import LIMITS, Recorder
from raw_http import until
from serving import serving
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from mainstem.common.http.connections.limits import AddressLimitMiddleware, Trusted, owner_of

PROXY = "127.0.0.1"


async def statuses(http: httpx.AsyncClient, url: str, address: str, number: int) -> list[int]:
    headers = {"X-Forwarded-For": address}
    answers = await asyncio.gather(*(http.get(f"{url}/held", headers=headers) for _ in range(number)))
    return sorted(answer.status_code for answer in answers)


async def test_forwarded_address_has_a_share_of_requests_and_others_are_served() -> None:
    app, trusted = Recorder(), Trusted(PROXY)
    shared = ProxyHeadersMiddleware(AddressLimitMiddleware(app, LIMITS, trusted), trusted_hosts=PROXY)  # type: ignore[arg-type]  # uvicorn has its own names for the same
    async with serving(shared) as url, httpx.AsyncClient() as http:  # type: ignore[arg-type]  # as above
        most = LIMITS.connections_per_address
        greedy = asyncio.create_task(statuses(http, url, "192.0.2.1", most + 3))
        await until(lambda: len(app.received) == most)
        other = asyncio.create_task(statuses(http, url, "192.0.2.2", 2))
        own = asyncio.create_task(http.get(f"{url}/held"))
        await until(lambda: len(app.received) == most + 3)
        app.go_on.set()
        assert await greedy == [200] * most + [429] * 3
        assert await other == [200, 200]
        assert (await own).status_code == 200
        assert await statuses(http, url, "192.0.2.1", most) == [200] * most


@pytest.mark.parametrize(
    ("address", "owner"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "20010db800000000"),
        ("2001:db8:0:0:ffff::9", "20010db800000000"),
        ("2001:db8:0:1::1", "20010db800000001"),
        ("not:an:address", "not:an:address"),
        ("", ""),
    ],
)
def test_ipv6_addresses_of_one_network_count_as_one(address: str, owner: str) -> None:
    assert owner_of(address) == owner


def test_nobody_is_trusted_unless_named() -> None:
    assert PROXY not in Trusted(None)
    assert PROXY not in Trusted("")
    assert PROXY in Trusted("192.0.2.1, 127.0.0.0/8")
