"""Who gets in where: every route of the gateway by its scope, and every service that is called directly."""

import re
import tomllib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

import httpx
import pytest
from servers import Database
from serving import serving
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route
from structlog.testing import capture_logs
from sync_world import Gateway as Signer
from tiny_gateway import Gateway, Upstream

from mainstem.common.http.app import HEALTH_PATHS
from mainstem.common.http.endpoint import Endpoint
from mainstem.gateway.routes.table import METHODS, SCOPES
from mainstem.gateway.settings import ROUTES_FILE

SERVICES = ("ingest", "sync", "billing", "gateway")
NOWHERE = "http://127.0.0.1:9"

RULES: list[dict[str, Any]] = tomllib.loads(ROUTES_FILE.read_text(encoding="utf-8"))["routes"]
RULED = [
    pytest.param(method, rule, id=f"{method} {rule['path']}") for rule in RULES for method in rule["methods"]
]

OPEN = {
    "/token": "whoever asks for a token shows its credentials there",
    "/.well-known/jwks.json": "the public halves of keys",
    **dict.fromkeys(("/webhooks/stripe", "/webhooks/stripe/{account}"), "providers sign what they send"),
    "/billing/return": "a person's browser comes back from checkout; it is told nothing about anybody else",
    **dict.fromkeys(HEALTH_PATHS, "no ingress routes these"),
}
"""The paths that anybody may ask, and why."""


def filled(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "x", path)


@pytest.mark.parametrize(("method", "rule"), RULED)
async def test_each_route_lets_in_whom_its_scope_names_and_nobody_else(
    shipped_gateway: Gateway, upstream: Upstream, method: str, rule: dict[str, Any]
) -> None:
    path = filled(rule["path"])
    if rule.get("public"):
        assert rule["path"] in OPEN
        assert (await shipped_gateway.http.request(method, path)).status_code == 200
        assert upstream.last.values("authorization") == []
        return
    scope: str = rule["scope"]
    stranger = await shipped_gateway.http.request(method, path)
    others = await shipped_gateway.add_client("others", *(set(SCOPES) - {scope}))
    refused = await shipped_gateway.http.request(method, path, headers=await shipped_gateway.bearer(others))
    assert (stranger.status_code, refused.status_code, upstream.received) == (401, 403, [])
    assert refused.json()["detail"] == f"the scope {scope} is missing"
    holder = await shipped_gateway.bearer(await shipped_gateway.add_client("holder", scope))
    assert (await shipped_gateway.http.request(method, path, headers=holder)).status_code == 200
    assert (upstream.last.method, upstream.last.raw_path) == (method, path.encode())


def paths_of(routes: Sequence[BaseRoute]) -> Iterator[str]:
    """Yield every path that is answered."""
    for route in routes:
        if isinstance(route, Mount):
            yield from (route.path + path for path in paths_of(route.routes))
        else:
            assert isinstance(route, Route), f"what {route} answers is not known here"
            yield route.path


def known_paths(service: str, app: Starlette) -> list[str]:
    """Return the paths of a service; the gateway's are its own and those of its rules."""
    paths = [*paths_of(app.routes)]
    return paths + [rule["path"] for rule in RULES] if service == "gateway" else paths


def build(service: str, database: Database, keys_base: str = NOWHERE) -> Starlette:
    values = {
        "database_url": database.urls[service],
        "identity_jwks_url": f"{keys_base}/.well-known/jwks.json",
        **({f"upstream_{name}": NOWHERE for name in SERVICES[:3]} if service == "gateway" else {}),
    }
    settings = import_module(f"mainstem.{service}.settings").Settings(**values)
    app: Starlette = import_module(f"mainstem.{service}.app").build(settings)
    return app


@pytest.fixture
async def doors(database: Database) -> AsyncIterator[list[tuple[str, str, httpx.AsyncClient]]]:
    """Every path of every service, with a client that calls the service directly."""
    async with AsyncExitStack() as stack:
        found = []
        for service in SERVICES:
            app = build(service, database)
            url = await stack.enter_async_context(serving(app))
            client = await stack.enter_async_context(httpx.AsyncClient(base_url=url))
            found += [(service, path, client) for path in known_paths(service, app)]
        yield found


async def test_every_service_called_directly_without_an_identity_answers_401_but_on_named_paths(
    doors: list[tuple[str, str, httpx.AsyncClient]],
) -> None:
    open_paths = set()
    for service, path, client in doors:
        statuses = {(await client.request(method, filled(path))).status_code for method in METHODS}
        if statuses - {401, 405}:
            open_paths.add(path)
        else:
            assert 401 in statuses, f"nothing is answered at {path} of {service}"
    assert open_paths == OPEN.keys() & {path for _, path, _ in doors}
    assert {service for service, path, _ in doors if path not in OPEN} == {*SERVICES}


@pytest.mark.parametrize("service", SERVICES[:3])
async def test_every_service_called_directly_demands_the_scope_of_its_endpoint(
    service: str, database: Database
) -> None:
    signer = Signer()
    async with AsyncExitStack() as stack:
        keys_base = await stack.enter_async_context(serving(signer.app))
        url = await stack.enter_async_context(serving(build(service, database, keys_base)))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url))

        async def call(endpoint: Endpoint, *scopes: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {signer.identity(service, scopes)}"}
            return await client.request(endpoint.method, filled(endpoint.path), headers=headers)

        scoped = [one for one in import_module(f"mainstem.{service}.app").ENDPOINTS if not one.public]
        assert scoped
        for endpoint in scoped:
            with capture_logs() as logged:
                refused = await call(endpoint, *(set(SCOPES) - {endpoint.scope}))
            assert refused.status_code == 403
            challenge = f'Bearer error="insufficient_scope", scope="{endpoint.scope}"'
            assert refused.headers["www-authenticate"] == challenge
            assert refused.json()["detail"] == f"the scope {endpoint.scope} is missing"
            events = {event["event"]: event for event in logged}
            assert events["caller.refused"]["scope"] == endpoint.scope
            assert (await call(endpoint, endpoint.scope)).status_code not in {401, 403}
