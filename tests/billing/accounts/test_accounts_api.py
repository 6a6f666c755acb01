"""Accounts, and who may call at all."""

import httpx
import pytest
from billing_world import register

from mainstem.billing.app import ENDPOINTS
from mainstem.billing.settings import RETURN_PATH


async def test_a_payer_is_registered_once_however_often(client: httpx.AsyncClient) -> None:
    path = "/billing/accounts/fxa_id/person-1"
    first = await client.put(path, json={"email": "ada@example.com"})
    second = await client.put(path, json={"email": "new@example.com", "login": "ada"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == {
        "id": first.json()["id"],
        "owner": {"kind": "fxa_id", "value": "person-1"},
        "email": "new@example.com",
        "login": "ada",
        "stripe_customer_id": None,
    }
    assert (await client.get(path)).json() == second.json()


async def test_an_address_as_owner_is_compared_in_lower_case(direct: httpx.AsyncClient) -> None:
    first = await register(direct, "email", "Ada@Example.com")
    second = await register(direct, "email", "ada@example.com")
    assert first["id"] == second["id"]
    assert first["owner"] == {"kind": "email", "value": "ada@example.com"}


async def test_who_was_not_registered_is_not_found(direct: httpx.AsyncClient) -> None:
    answer = await direct.get("/billing/accounts/fxa_id/nobody")
    assert (answer.status_code, answer.json()["detail"]) == (404, "user not found")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("fxa_id/a", b"{}"),
        ("fxa_id/a", b'{"email": "no address"}'),
        ("fxa_id/a", b'{"email": "a@example.com", "login": ""}'),
        ("fxa_id/a", b'{"email": "a\\u0000@example.com"}'),
        ("fxa_id/a", b'{"email": "a@example.com", "login": "a\\u0000"}'),
        ("FXA/a", b'{"email": "a@example.com"}'),
        ("fxa_id/%00", b'{"email": "a@example.com"}'),
    ],
)
async def test_what_is_no_payer_is_refused(direct: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await direct.put(f"/billing/accounts/{path}", content=body)
    assert answer.status_code == 422


async def test_nul_in_an_owner_is_refused_over_the_wire_too(client: httpx.AsyncClient) -> None:
    answer = await client.put("/billing/accounts/fxa_id/%00", json={"email": "a@example.com"})
    assert answer.status_code == 422


async def test_every_route_but_the_return_page_demands_an_identity(direct: httpx.AsyncClient) -> None:
    direct.headers.pop("Authorization")
    for endpoint in ENDPOINTS:
        path = endpoint.path.format(kind="fxa_id", value="a")
        answer = await direct.request(endpoint.method, path)
        assert (answer.status_code == 401) is (path != RETURN_PATH), path
    assert len(ENDPOINTS) == 6
