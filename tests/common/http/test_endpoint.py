"""Endpoints: what a declaration may say, and which requests it lets through."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from raw_http import exchange
from serving import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mainstem.common.errors import UnauthorizedError
from mainstem.common.http.app import AppState, build_app
from mainstem.common.http.endpoint import Endpoint
from mainstem.common.http.identity import Principal
from mainstem.common.http.requests.budget import Budget


class Verifier:
    """Knows two tokens; stands where a service's verifier stands."""

    async def verify(self, authorization: str | None) -> Principal:
        if authorization not in {"Bearer reader", "Bearer writer"}:
            raise UnauthorizedError
        scope = authorization.removeprefix("Bearer ").removesuffix("er").replace("writ", "write")
        return Principal(f"api_client:{scope}", frozenset({f"a:{scope}"}))


def declare(method: str, path: str, **given: Any) -> Endpoint:
    return Endpoint(method, path, answers={200: "what was called"}, **given)


LIST = declare("GET", "/things", scope="a:read")
ADD = declare("POST", "/things", scope="a:write")
SHOW = declare("GET", "/things/{name}", scope="a:read")
OPEN = declare("POST", "/open", public=True)
ENDPOINTS = (LIST, ADD, SHOW, OPEN)


@LIST.handler
@ADD.handler
@SHOW.handler
@OPEN.handler
async def answer(request: Request) -> Response:
    return JSONResponse({"method": request.method, "path": request.url.path})


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[AppState]:
    yield {"identity": Verifier(), "checks": {}}  # type: ignore[typeddict-item]  # needs no keys


@asynccontextmanager
async def without_identity(_app: Starlette) -> AsyncIterator[AppState]:
    yield {"identity": None, "checks": {}}


@pytest.fixture
def budget() -> Budget:
    return Budget(4_000)


@pytest.fixture
async def url(budget: Budget) -> AsyncIterator[str]:
    async with serving(build_app("test", endpoints=ENDPOINTS, lifespan=lifespan, budget=budget)) as url:
        yield url


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url) as client:
        yield client


READER = {"authorization": "Bearer reader"}
WRITER = {"authorization": "Bearer writer"}


class Body(BaseModel):
    name: str


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "either `scope` or `public=True`"),
        ({"scope": "a:read", "public": True}, "either `scope` or `public=True`"),
        ({"scope": ""}, "noun:verb"),
        ({"scope": "a:read b:read"}, "noun:verb"),
        ({"method": "get", "public": True}, "the method must be one of"),
        ({"method": "HEAD", "public": True}, "the method must be one of"),
        ({"path": "things", "public": True}, "the path must be"),
        ({"path": "/things/", "public": True}, "the path must be"),
        ({"path": "/{path:path}", "public": True}, "the path must be"),
        ({"timeout": 0, "public": True}, "a positive number of seconds"),
        ({"timeout": float("inf"), "public": True}, "a positive number of seconds"),
        ({"body_limit": -1, "public": True}, "`body_limit` must be positive"),
        ({"body": Body, "public": True}, "`body_limit` must be positive"),
        ({"answers": {}, "public": True}, "at least one answer"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(given: dict[str, Any], complaint: str) -> None:
    values = {"method": "GET", "path": "/things", "answers": {200: "things"}} | given
    with pytest.raises(ValueError, match=complaint):
        Endpoint(values.pop("method"), values.pop("path"), **values)


def test_no_app_has_an_endpoint_twice_or_one_without_a_handler() -> None:
    twin = declare("GET", "/things/{other}", public=True)
    with pytest.raises(ValueError, match="no handler"):
        build_app("test", endpoints=(twin,), lifespan=lifespan)
    twin.handler(answer)
    with pytest.raises(ValueError, match="declared twice"):
        build_app("test", endpoints=(SHOW, twin), lifespan=lifespan)
    with pytest.raises(ValueError, match="a second handler"):
        SHOW.handler(answer)


async def test_the_scope_of_the_endpoint_decides_and_not_that_of_its_path(http: httpx.AsyncClient) -> None:
    assert (await http.get("/things", headers=READER)).status_code == 200
    assert (await http.post("/things", headers=WRITER)).status_code == 200
    assert (await http.head("/things", headers=READER)).status_code == 200
    for answer in (await http.get("/things", headers=WRITER), await http.post("/things", headers=READER)):
        assert answer.status_code == 403
        assert answer.headers["www-authenticate"].startswith('Bearer error="insufficient_scope", scope="a:')


async def test_another_method_is_refused_with_those_of_the_path_to_callers_who_are_known(
    http: httpx.AsyncClient,
) -> None:
    assert (await http.put("/things")).status_code == 401
    answer = await http.put("/things", headers=READER)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    assert (await http.get("/open")).status_code == 405


@pytest.mark.parametrize("path", ["/", "/things/a/b", "/thing", "/open/more", "/things/", "//", "/openx"])
async def test_a_path_that_no_endpoint_has_tells_a_stranger_nothing(
    http: httpx.AsyncClient, path: str
) -> None:
    assert (await http.get(path)).status_code == 401


async def test_a_known_caller_has_a_share_of_the_budget_of_its_own(
    http: httpx.AsyncClient, budget: Budget
) -> None:
    budget.take("127.0.0.1", 1_000)
    assert (await http.post("/open", content=b"x")).status_code == 503
    assert (await http.post("/things", content=b"x", headers=WRITER)).status_code == 200
    budget.take("api_client:write", 1_000)
    assert (await http.post("/things", content=b"x", headers=WRITER)).status_code == 503


async def test_a_process_that_verifies_no_identities_serves_public_endpoints_alone() -> None:
    app = build_app("test", endpoints=ENDPOINTS, lifespan=without_identity)
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as http:
        assert (await http.post("/open")).status_code == 200
        assert (await http.get("/things", headers=READER)).status_code == 401
        assert (await http.get("/nothing")).status_code == 404


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/things/", "/things"),
        ("/things///", "/things"),
        ("/things/a/?x=1&y=//evil.example", "/things/a?x=1&y=//evil.example"),
        ("/things/%C3%A9%5C/", "/things/%C3%A9%5C"),
        ("http://evil.example/things/", "/things"),
        ("/things/\\evil.example/", "/things/%5Cevil.example"),
    ],
)
async def test_a_slash_too_many_redirects_to_a_path_whatever_the_host_header_says(
    url: str, target: str, location: str
) -> None:
    said = f"GET {target} HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer reader\r\n\r\n"
    status, headers = await exchange(url, said.encode())
    assert (status, headers["location"]) == (307, location)


async def test_a_public_path_redirects_without_an_identity(http: httpx.AsyncClient) -> None:
    answer = await http.post("/open/", headers={"host": "evil.example"})
    assert (answer.status_code, answer.headers["location"]) == (307, "/open")


@pytest.mark.parametrize("target", ["//things/", "//evil.example/", "/things%2F", "/%2Fevil.example/", "//"])
async def test_no_path_redirects_to_another_host_or_to_itself(url: str, target: str) -> None:
    said = f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer reader\r\n\r\n"
    status, headers = await exchange(url, said.encode())
    assert (status, headers.get("location")) == (404, None)
