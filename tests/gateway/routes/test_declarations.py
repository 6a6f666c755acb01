"""The gateway's routes against the services' endpoints: each leads to one, and none allows more than it.

A route's body limit is at most its endpoint's: what the gateway lets through, the service accepts.
A route's timeout is longer than its endpoint's: the service answers itself, and its answer, unlike a
timeout at the gateway, never opens the circuit that other callers share.
"""

import re
import tomllib
from collections.abc import Iterator
from importlib import import_module

import msgspec
import pytest

from mainstem.common.http.endpoint import Endpoint
from mainstem.gateway.routes.table import SCOPES, Route
from mainstem.gateway.settings import ROUTES_FILE

MARGIN_SECONDS = 1.0

INTERNAL: dict[tuple[str, str], str] = {}
"""By method and path: why no route leads to an endpoint."""

ROUTES = msgspec.convert(tomllib.loads(ROUTES_FILE.read_text(encoding="utf-8"))["routes"], list[Route])
BEHIND: list[tuple[str, Endpoint]] = [
    (service, endpoint)
    for service in ("ingest", "sync", "billing")
    for endpoint in import_module(f"mainstem.{service}.app").ENDPOINTS
]


def shape(path: str) -> str:
    return re.sub(r"\{[a-z_]+\}", "{}", path)


def list_pairs() -> Iterator[tuple[Route, str, list[Endpoint]]]:
    """Yield each method of each route with the endpoints that it leads to."""
    for route in ROUTES:
        for method in route.methods:
            wanted = (route.upstream, method, shape(route.path))
            found = [one for service, one in BEHIND if (service, one.method, one.shape) == wanted]
            yield route, f"{method} {route.path}", found


PAIRS = [pytest.param(route, found, id=name) for route, name, found in list_pairs()]


@pytest.mark.parametrize(("route", "found"), PAIRS)
def test_each_route_leads_to_one_endpoint_and_allows_no_more_than_it(
    route: Route, found: list[Endpoint]
) -> None:
    (endpoint,) = found
    assert (route.scope, route.public) == (endpoint.scope, endpoint.public)
    assert endpoint.limit_bytes == 0 or route.body_limit_bytes <= endpoint.limit_bytes
    assert route.timeout_seconds >= endpoint.timeout + MARGIN_SECONDS


def test_each_endpoint_has_a_route_or_a_reason_to_have_none() -> None:
    routed = {(one.method, one.shape) for _, _, found in list_pairs() for one in found}
    unrouted = {(one.method, one.shape) for _, one in BEHIND} - routed
    assert unrouted == INTERNAL.keys()


def test_each_scope_can_be_granted() -> None:
    assert {one.scope for _, one in BEHIND if one.scope is not None} <= {*SCOPES}
