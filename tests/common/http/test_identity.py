import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from serving import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mainstem.common.errors import UnauthorizedError, UnavailableError
from mainstem.common.http.identity import LEEWAY_SECONDS, REMEMBERED, TYPE, Principal, Verifier
from mainstem.common.http.identity_keys import open_verifier
from mainstem.common.settings import SettingsError


class Gateway:
    """A gateway's signing side: keys that it publishes, and identities that it signs."""

    def __init__(self) -> None:
        self.keys: dict[str, Ed25519PrivateKey] = {}
        self.asked = 0
        self.is_broken = False
        self.app = Starlette(routes=[Route("/jwks.json", self.publish)])

    def rotate(self, key_id: str) -> None:
        self.keys[key_id] = Ed25519PrivateKey.generate()

    def sign(self, key_id: str = "key-1", *, typ: str = TYPE, **changes: Any) -> str:
        now = int(time.time())
        claims = {
            "sub": "api_client:demo",
            "aud": "sync",
            "iat": now,
            "exp": now + 60,
            "scope": "a:read b:write",
        }
        claims = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(claims, self.keys[key_id], "EdDSA", headers={"kid": key_id, "typ": typ})

    async def publish(self, _request: Request) -> Response:
        self.asked += 1
        if self.is_broken:
            return Response(b"<html>", 200)
        keys = [
            OKPAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": key_id, "alg": "EdDSA"}
            for key_id, key in self.keys.items()
        ]
        return JSONResponse({"keys": keys})


@pytest.fixture
async def published() -> AsyncIterator[tuple[Gateway, Verifier, AsyncExitStack]]:
    """A gateway, a verifier of the service `sync`, and the gateway's server, which may be closed."""
    gateway = Gateway()
    gateway.rotate("key-1")
    async with AsyncExitStack() as server:
        url = await server.enter_async_context(serving(gateway.app))
        async with open_verifier("sync", f"{url}/jwks.json") as verifier:
            yield gateway, verifier, server


@pytest.fixture
def gateway(published: tuple[Gateway, Verifier, AsyncExitStack]) -> Gateway:
    return published[0]


@pytest.fixture
def verifier(published: tuple[Gateway, Verifier, AsyncExitStack]) -> Verifier:
    return published[1]


@pytest.fixture
def server(published: tuple[Gateway, Verifier, AsyncExitStack]) -> AsyncExitStack:
    return published[2]


async def refuse(verifier: Verifier, token: str | None) -> None:
    with pytest.raises(UnauthorizedError) as caught:
        await verifier.verify(token)
    assert caught.value.headers["WWW-Authenticate"] == "Bearer"


async def test_an_identity_says_who_calls_and_what_they_may(gateway: Gateway, verifier: Verifier) -> None:
    expected = Principal("api_client:demo", frozenset({"a:read", "b:write"}))
    assert await verifier.verify(f"Bearer {gateway.sign()}") == expected
    assert await verifier.verify(f"bearer {gateway.sign()}") == expected


async def test_an_identity_without_scopes_may_nothing(gateway: Gateway, verifier: Verifier) -> None:
    assert (await verifier.verify(f"Bearer {gateway.sign(scope=None)}")).scopes == frozenset()


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer not.a.token", "x"])
async def test_a_request_without_a_readable_identity_is_refused(
    verifier: Verifier, header: str | None
) -> None:
    await refuse(verifier, header)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "billing"},
        {"aud": None},
        {"typ": "at+jwt"},
        {"typ": "JWT"},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"sub": None},
        {"iat": None},
        {"iat": 4_000_000_000},
        {"nbf": 4_000_000_000},
    ],
    ids=str,
)
async def test_an_identity_for_another_use_or_time_is_refused(
    gateway: Gateway, verifier: Verifier, changes: dict[str, Any]
) -> None:
    await refuse(verifier, f"Bearer {gateway.sign(**changes)}")


async def test_an_identity_that_somebody_else_signed_is_refused(gateway: Gateway, verifier: Verifier) -> None:
    forger = Gateway()
    forger.rotate("key-1")
    await verifier.verify(f"Bearer {gateway.sign()}")
    await refuse(verifier, f"Bearer {forger.sign()}")


async def test_an_identity_without_a_signature_or_by_another_algorithm_is_refused(
    gateway: Gateway, verifier: Verifier
) -> None:
    claims = jwt.decode(gateway.sign(), options={"verify_signature": False})
    public = gateway.keys["key-1"].public_key().public_bytes_raw()
    headers = {"kid": "key-1", "typ": TYPE}
    unsigned = jwt.encode(claims, "", "none", headers=headers)
    confused = jwt.encode(claims, public, "HS256", headers=headers)
    for token in (unsigned, confused):
        await refuse(verifier, f"Bearer {token}")


async def test_an_identity_lives_a_little_longer_for_clocks_that_differ(
    gateway: Gateway, verifier: Verifier
) -> None:
    now = int(time.time())
    await verifier.verify(f"Bearer {gateway.sign(iat=now - 60, exp=now - LEEWAY_SECONDS + 2)}")
    await refuse(verifier, f"Bearer {gateway.sign(iat=now - 60, exp=now - LEEWAY_SECONDS - 1)}")


async def test_an_identity_that_was_verified_once_is_refused_when_it_expires(
    gateway: Gateway, verifier: Verifier
) -> None:
    token = gateway.sign(exp=int(time.time()) - LEEWAY_SECONDS + 2)
    await verifier.verify(f"Bearer {token}")
    await asyncio.sleep(2.1)
    await refuse(verifier, f"Bearer {token}")


async def test_rotation_refuses_nobody_however_soon_it_comes(gateway: Gateway, verifier: Verifier) -> None:
    old = [gateway.sign() for _ in range(2)]
    await verifier.verify(f"Bearer {old[0]}")
    for key_id in ("key-2", "key-3", "key-4"):
        gateway.rotate(key_id)
        tokens = [gateway.sign(key_id, jti=str(number)) for number in range(8)]
        await asyncio.gather(*(verifier.verify(f"Bearer {token}") for token in tokens))
        await verifier.verify(f"Bearer {old[1]}")
    assert gateway.asked == 4


async def test_unknown_keys_are_asked_for_once_in_five_seconds(gateway: Gateway, verifier: Verifier) -> None:
    await verifier.verify(f"Bearer {gateway.sign()}")
    forger = Gateway()
    for number in range(20):
        forger.rotate(f"unknown-{number}")
        await refuse(verifier, f"Bearer {forger.sign(f'unknown-{number}')}")
    assert gateway.asked == 2


async def test_a_key_that_is_no_longer_published_is_refused_after_the_next_look(
    gateway: Gateway, verifier: Verifier
) -> None:
    await verifier.verify(f"Bearer {gateway.sign()}")
    late = gateway.sign(jti="late")
    gateway.rotate("key-2")
    del gateway.keys["key-1"]
    await verifier.verify(f"Bearer {gateway.sign('key-2')}")
    await refuse(verifier, f"Bearer {late}")


async def test_the_keys_at_hand_are_kept_while_the_gateway_is_down(
    gateway: Gateway, verifier: Verifier, server: AsyncExitStack
) -> None:
    await verifier.verify(f"Bearer {gateway.sign()}")
    await server.aclose()
    gateway.rotate("key-2")
    await refuse(verifier, f"Bearer {gateway.sign('key-2')}")
    await verifier.verify(f"Bearer {gateway.sign(jti='another')}")


async def test_an_answer_that_is_no_key_set_changes_nothing(gateway: Gateway, verifier: Verifier) -> None:
    await verifier.verify(f"Bearer {gateway.sign()}")
    gateway.is_broken = True
    gateway.rotate("key-2")
    await refuse(verifier, f"Bearer {gateway.sign('key-2')}")
    await verifier.verify(f"Bearer {gateway.sign(jti='another')}")


async def test_without_any_key_nobody_can_be_told_apart_which_is_our_fault(
    gateway: Gateway, verifier: Verifier
) -> None:
    gateway.is_broken = True
    with pytest.raises(UnavailableError):
        await verifier.verify(f"Bearer {gateway.sign()}")
    gateway.is_broken = False
    await asyncio.sleep(0.6)
    await verifier.verify(f"Bearer {gateway.sign()}")


async def test_a_service_that_was_not_told_of_the_gateway_does_not_start() -> None:
    with pytest.raises(SettingsError, match="MAINSTEM_IDENTITY_JWKS_URL"):
        async with open_verifier("sync", None):
            pass


async def test_what_is_remembered_is_bounded(gateway: Gateway, verifier: Verifier) -> None:
    for number in range(REMEMBERED + 5):
        await verifier.verify(f"Bearer {gateway.sign(jti=str(number))}")
    assert len(verifier._remembered) == REMEMBERED
