import asyncio
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.typing import EventDict
from tiny_gateway import CountedPool, Gateway, Upstream

from mainstem.common.errors import UnauthorizedError
from mainstem.gateway.clients import storage as clients
from mainstem.gateway.clients.directory import Directory
from mainstem.gateway.keys import ring as keyring
from mainstem.gateway.keys import storage as keys
from mainstem.gateway.keys.ring import KeyRing
from mainstem.gateway.tokens.callers import Callers

CONTACT = "/ctms/332de237-cab7-4461-bcc3-48e68f42bd5c"


async def stored_key(gateway: Gateway) -> tuple[str, Ed25519PrivateKey]:
    """Return the gateway's own signing key, to forge nearly good tokens with."""
    async with gateway.pool.transaction() as connection:
        key = (await keys.list_all(connection))[-1]
    return key.key_id, Ed25519PrivateKey.from_private_bytes(keyring._decode(key.private_key))


async def forged(
    gateway: Gateway, client_id: str, *, header: dict[str, Any] | None = None, **claims: Any
) -> str:
    """Return a token that is good but for what is given; a claim given as None is left out."""
    key_id, key = await stored_key(gateway)
    now = int(time.time())
    good = {
        "iss": "mainstem-gateway",
        "aud": "mainstem-gateway",
        "sub": f"api_client:{client_id}",
        "iat": now,
        "exp": now + 60,
        "scope": "contacts:read",
    }
    said = {name: value for name, value in (good | claims).items() if value is not None}
    return jwt.encode(said, key, algorithm="EdDSA", headers={"typ": "at+jwt", "kid": key_id} | (header or {}))


async def test_who_holds_the_scope_gets_through_with_an_identity_for_that_service(
    gateway: Gateway, upstream: Upstream
) -> None:
    client_id = await gateway.add_client("demo", "contacts:read", "contacts:write")
    bearer = await gateway.bearer(client_id, scope="contacts:read")
    answer = await gateway.http.get(CONTACT, headers=bearer)
    principal = await gateway.caller_of(upstream.last)
    assert (answer.status_code, answer.text) == (200, "ok")
    assert principal.subject == f"api_client:{client_id}"
    assert principal.scopes == {"contacts:read"}


async def test_the_callers_token_and_cookies_never_reach_the_upstream(
    gateway: Gateway, upstream: Upstream
) -> None:
    bearer = await gateway.bearer(await gateway.add_client("demo"))
    for path in (CONTACT, "/open/door"):
        await gateway.http.get(path, headers=bearer | {"Cookie": "session=1"})
        sent = str(upstream.last.headers)
        assert bearer["Authorization"].removeprefix("Bearer ") not in sent
        assert "session=1" not in sent


async def test_a_public_route_carries_no_identity_even_for_a_known_caller(
    gateway: Gateway, upstream: Upstream
) -> None:
    bearer = await gateway.bearer(await gateway.add_client("demo"))
    await gateway.http.post("/webhooks/stripe", headers=bearer, content=b"{}")
    assert upstream.last.values("authorization") == []


async def test_the_same_caller_gets_the_same_identity_for_a_while(
    gateway: Gateway, upstream: Upstream
) -> None:
    one = await gateway.bearer(await gateway.add_client("one"))
    other = await gateway.bearer(await gateway.add_client("other"))
    for bearer in (one, one, other):
        await gateway.http.get(CONTACT, headers=bearer)
    first, second, third = (received.values("authorization") for received in upstream.received)
    assert first == second != third


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic xx"}, {"Authorization": "Bearer"}])
async def test_nobody_gets_in_without_a_token(
    gateway: Gateway, upstream: Upstream, headers: dict[str, str]
) -> None:
    answer = await gateway.http.get(CONTACT, headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (401, "Not authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert upstream.received == []


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        ({"exp": 1}, {}),
        ({"exp": None}, {}),
        ({"sub": None}, {}),
        ({"sub": "id_demo"}, {}),
        ({"sub": "somebody:id_demo"}, {}),
        ({"sub": "api_client:id_nobody"}, {}),
        ({"aud": "sync"}, {}),
        ({"aud": None}, {}),
        ({"iss": "somebody"}, {}),
        ({}, {"typ": "JWT"}),
        ({}, {"typ": "mainstem-identity+jwt"}),
        ({}, {"kid": "unknown"}),
        ({}, {"kid": ""}),
    ],
)
async def test_a_token_that_is_not_quite_right_is_refused(
    gateway: Gateway, upstream: Upstream, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    client_id = await gateway.add_client("demo")
    good = await gateway.http.get(
        CONTACT, headers={"Authorization": f"Bearer {await forged(gateway, client_id)}"}
    )
    token = await forged(gateway, client_id, header=header, **claims)
    answer = await gateway.http.get(CONTACT, headers={"Authorization": f"Bearer {token}"})
    assert good.status_code == 200
    assert (answer.status_code, answer.json()["detail"]) == (401, "Could not validate credentials")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert len(upstream.received) == 1


async def test_a_token_signed_by_another_key_or_in_another_way_is_refused(gateway: Gateway) -> None:
    client_id = await gateway.add_client("demo")
    key_id, _ = await stored_key(gateway)
    claims = jwt.decode(await forged(gateway, client_id), options={"verify_signature": False})
    headers = {"typ": "at+jwt", "kid": key_id}
    tokens = [
        "not.a.jwt",
        jwt.encode(claims, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers=headers),
        jwt.encode(claims, "a shared secret of thirty-two bytes", algorithm="HS256", headers=headers),
        jwt.encode(claims, "", algorithm="none", headers=headers),
    ]
    for token in tokens:
        answer = await gateway.http.get(CONTACT, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


async def test_an_identity_is_no_access_token(gateway: Gateway, upstream: Upstream) -> None:
    bearer = await gateway.bearer(await gateway.add_client("demo"))
    await gateway.http.get(CONTACT, headers=bearer)
    (identity,) = upstream.last.values("authorization")
    answer = await gateway.http.get(CONTACT, headers={"Authorization": identity})
    assert answer.status_code == 401


async def test_a_missing_scope_is_named(gateway: Gateway, upstream: Upstream) -> None:
    bearer = await gateway.bearer(await gateway.add_client("demo", "contacts:read"))
    answer = await gateway.http.post("/ctms", headers=bearer, json={})
    assert answer.status_code == 403
    assert answer.json()["detail"] == "the scope contacts:write is missing"
    assert 'scope="contacts:write"' in answer.headers["www-authenticate"]
    assert upstream.received == []


async def test_the_spec_orders_the_reasons_and_the_log_tells_them(
    gateway: Gateway, logged: list[EventDict]
) -> None:
    client_id = await gateway.add_client("demo")
    for subject in ("nothing", "somebody:id_demo", "api_client:id_nobody"):
        token = await forged(gateway, client_id, sub=subject)
        await gateway.http.get(CONTACT, headers={"Authorization": f"Bearer {token}"})
    reasons = [event["auth_fail"] for event in logged if event["event"] == "caller.refused"]
    assert reasons == ["No or bad token", "Bad namespace", "No client record"]


async def test_the_log_line_of_a_request_names_its_client_and_no_other_requests(
    gateway: Gateway, logged: list[EventDict]
) -> None:
    client_id = await gateway.add_client("demo")
    await gateway.http.get(CONTACT, headers=await gateway.bearer(client_id))
    await gateway.http.get("/open/door")
    served = {event["route"]: event for event in logged if event["event"] == "request.served"}
    assert served["/ctms/{email_id}"]["client_allowed"] is True
    assert served["/ctms/{email_id}"]["client_id"] == client_id
    assert "client_id" not in served["/open/{what}"]


async def test_a_token_of_a_gateway_whose_clock_is_ahead_holds(gateway: Gateway) -> None:
    client_id = await gateway.add_client("demo")
    token = await forged(gateway, client_id, iat=int(time.time()) + 30)
    answer = await gateway.http.get(CONTACT, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


async def test_a_disabled_client_is_kept_out_and_told_so(gateway: Gateway) -> None:
    client_id = await gateway.add_client("demo")
    bearer = await gateway.bearer(client_id)
    async with gateway.pool.transaction() as connection:
        await clients.set_enabled(connection, client_id, enabled=False)
    answer = await gateway.http.get(CONTACT, headers=bearer)
    assert (answer.status_code, answer.json()["detail"]) == (400, "API Client has been disabled")


async def test_a_client_is_looked_up_once_for_many_and_again_when_the_look_is_ten_seconds_old(
    gateway: Gateway,
) -> None:
    client_id = await gateway.add_client("demo")
    counted = CountedPool(gateway.pool)
    directory = Directory(counted)
    for _ in range(5):
        assert await directory.find(client_id) is not None
    assert counted.transactions == 1
    looked_at, look = directory._looks[client_id]
    directory._looks[client_id] = (looked_at - 10.1, look)
    async with gateway.pool.transaction() as connection:
        await clients.set_enabled(connection, client_id, enabled=False)
    found = await directory.find(client_id)
    assert found is not None
    assert not found.enabled


async def test_a_scope_taken_from_a_client_is_taken_from_its_tokens(gateway: Gateway) -> None:
    client_id = await gateway.add_client("demo", "contacts:read")
    bearer = await gateway.bearer(client_id)
    async with gateway.pool.transaction() as connection:
        await connection.execute(
            "UPDATE gateway.api_client SET scopes = '{billing:read}' WHERE client_id = $1", client_id
        )
    assert (await gateway.http.get(CONTACT, headers=bearer)).status_code == 403


async def test_a_remembered_token_still_expires_and_memory_is_bounded(gateway: Gateway) -> None:
    client_id = await gateway.add_client("demo")
    ring = KeyRing(gateway.pool, ahead_seconds=60)
    await ring.open()
    callers = Callers(Directory(gateway.pool), ring, capacity=3)
    tokens = [await forged(gateway, client_id, jti=str(number)) for number in range(5)]
    for token in tokens:
        assert (await callers.identify(f"Bearer {token}")).subject == f"api_client:{client_id}"
    assert list(callers._remembered) == tokens[2:]
    expires_at = int(time.time()) + 2
    short = await forged(gateway, client_id, exp=expires_at)
    await callers.identify(f"Bearer {short}")
    await asyncio.sleep(expires_at - time.time())
    with pytest.raises(UnauthorizedError, match="Could not validate credentials"):
        await callers.identify(f"Bearer {short}")
