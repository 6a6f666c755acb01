import asyncio
import inspect
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from raw_http import hang_up, until
from serving import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from structlog.testing import capture_logs

from mainstem.common import errors
from mainstem.common.errors import PROBLEM, InvalidError, MainstemError, UnauthorizedError
from mainstem.common.http.app import AppState, build_app
from mainstem.common.http.endpoint import Endpoint
from mainstem.common.http.health import Check
from mainstem.common.http.identity import Principal

LIMIT = 1000
ERRORS = {
    name: error
    for name, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, MainstemError) and error is not MainstemError
}


class Doorkeeper:
    """Knows one token; stands where a service's verifier stands."""

    async def verify(self, authorization: str | None) -> Principal:
        if authorization != "Bearer known":
            raise UnauthorizedError
        return Principal("api_client:demo", frozenset({"a:read"}))


class Checks:
    """What the heartbeat finds."""

    def __init__(self) -> None:
        self.database = True
        self.redis = True

    async def ask_database(self) -> bool:
        if not self.database:
            raise OSError("a secret in a text")
        return True

    async def ask_redis(self) -> bool:
        return self.redis

    def all(self) -> Mapping[str, Check]:
        return {"database": Check(self.ask_database), "redis": Check(self.ask_redis, is_needed=False)}


def public(method: str, path: str, *, body_limit: int | None = None) -> Endpoint:
    return Endpoint(method, path, answers={200: "text"}, public=True, body_limit=body_limit)


FAIL = public("GET", "/public/fail/{name}")
ECHO = public("POST", "/public/echo", body_limit=LIMIT)
BROKEN = public("GET", "/public/broken")
WHO = Endpoint("GET", "/who", answers={200: "the caller"}, scope="a:read")
ENDPOINTS = (FAIL, ECHO, BROKEN, WHO)


@FAIL.handler
async def fail(request: Request) -> Response:
    error = ERRORS[request.path_params["name"]]
    raise error("It is so.") if error is InvalidError else error("It is so.", code="mine")


@ECHO.handler
async def echo(request: Request) -> Response:
    return Response(await request.body())


@BROKEN.handler
async def break_down(_request: Request) -> Response:
    raise RuntimeError("a person's address")


@WHO.handler
async def who(request: Request) -> Response:
    return JSONResponse({"subject": request.state["principal"].subject})


@pytest.fixture
def checks() -> Checks:
    return Checks()


@pytest.fixture
async def http(checks: Checks) -> AsyncIterator[httpx.AsyncClient]:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[AppState]:
        yield {"identity": Doorkeeper(), "checks": checks.all()}  # type: ignore[typeddict-item]  # needs no keys

    app = build_app("test", endpoints=ENDPOINTS, lifespan=lifespan)
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


def read_problem(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == PROBLEM
    problem: dict[str, Any] = response.json()
    assert problem.keys() >= {"type", "title", "status", "detail"}
    assert problem["status"] == response.status_code
    assert response.headers["x-request-id"]
    return problem


async def test_a_process_is_alive_whatever_is_down(http: httpx.AsyncClient, checks: Checks) -> None:
    checks.database = checks.redis = False
    assert (await http.get("/__lbheartbeat__")).status_code == 200


async def test_a_process_is_ready_with_details_when_all_is_up(http: httpx.AsyncClient) -> None:
    response = await http.get("/__heartbeat__")
    assert response.status_code == 200
    assert {name: detail["up"] for name, detail in response.json().items()} == {
        "database": True,
        "redis": True,
    }


async def test_redis_away_is_a_detail(http: httpx.AsyncClient, checks: Checks) -> None:
    checks.redis = False
    response = await http.get("/__heartbeat__")
    assert response.status_code == 200
    assert response.json()["redis"]["up"] is False


async def test_the_database_away_is_a_503_that_tells_no_texts(
    http: httpx.AsyncClient, checks: Checks
) -> None:
    checks.database = False
    response = await http.get("/__heartbeat__")
    assert response.status_code == 503
    assert response.json()["database"]["up"] is False
    assert "secret" not in response.text


async def test_a_process_that_is_to_end_is_not_ready_and_still_alive(checks: Checks) -> None:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[AppState]:
        yield {"identity": None, "checks": checks.all()}

    app = build_app("test", endpoints=(), lifespan=lifespan)
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as client:
        app.state.shutdown_state.has_begun = True
        response = await client.get("/__heartbeat__")
        assert (response.status_code, response.json()["serving"]["up"]) == (503, False)
        assert (await client.get("/__lbheartbeat__")).status_code == 200


async def test_the_version_says_which_service_runs(http: httpx.AsyncClient) -> None:
    assert (await http.get("/__version__")).json().items() >= {
        "source": "mainstem",
        "service": "test",
    }.items()


async def test_metrics_are_in_the_format_of_prometheus(http: httpx.AsyncClient) -> None:
    response = await http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert "# TYPE" in response.text


@pytest.mark.parametrize("path", ["/__lbheartbeat__", "/__heartbeat__", "/__version__", "/metrics"])
async def test_health_can_be_read_and_not_written(http: httpx.AsyncClient, path: str) -> None:
    response = await http.post(path)
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}
    read_problem(response)


@pytest.mark.parametrize("name", sorted(ERRORS))
async def test_every_error_is_answered_as_a_problem(http: httpx.AsyncClient, name: str) -> None:
    response = await http.get(f"/public/fail/{name}")
    problem = read_problem(response)
    assert response.status_code == ERRORS[name].status
    assert problem["detail"] == "It is so."
    assert problem["title"] == ERRORS[name].status.phrase
    if name == "InvalidError":
        assert problem["errors"] == []
    else:
        assert problem["code"] == "mine"


async def test_a_path_that_does_not_exist_is_a_problem_too(http: httpx.AsyncClient) -> None:
    response = await http.get("/nothing", headers={"authorization": "Bearer known"})
    assert response.status_code == 404
    read_problem(response)


async def test_what_nobody_foresaw_is_a_500_without_its_text(http: httpx.AsyncClient) -> None:
    response = await http.get("/public/broken", headers={"x-request-id": "mine-7"})
    assert response.status_code == 500
    problem = read_problem(response)
    assert "person" not in response.text
    assert problem["detail"] == "Internal Server Error"
    assert response.headers["x-request-id"] == "mine-7"


@pytest.mark.parametrize("path", ["/__heartbeat__s", "/__version__/more", "/public/nothing"])
async def test_a_path_that_begins_like_a_public_one_is_none(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 401


async def test_nobody_enters_without_an_identity(http: httpx.AsyncClient) -> None:
    for headers in ({}, {"authorization": "Bearer unknown"}):
        response = await http.get("/who", headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        read_problem(response)


async def test_an_unknown_path_tells_a_stranger_nothing(http: httpx.AsyncClient) -> None:
    assert (await http.get("/nothing")).status_code == 401


async def test_an_endpoint_knows_who_calls(http: httpx.AsyncClient) -> None:
    response = await http.get("/who", headers={"authorization": "Bearer known"})
    assert response.json() == {"subject": "api_client:demo"}


async def stream(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 100):
        yield b"x" * 100


async def test_a_body_up_to_the_limit_arrives(http: httpx.AsyncClient) -> None:
    assert (await http.post("/public/echo", content=b"x" * LIMIT)).content == b"x" * LIMIT
    assert (await http.post("/public/echo", content=stream(LIMIT))).content == b"x" * LIMIT


@pytest.mark.parametrize("is_declared", [True, False])
async def test_a_body_over_the_limit_is_413_whether_it_declares_its_length_or_not(
    http: httpx.AsyncClient, is_declared: bool
) -> None:
    response = await http.post(
        "/public/echo", content=b"x" * (LIMIT + 1) if is_declared else stream(LIMIT + 100)
    )
    assert response.status_code == 413
    assert str(LIMIT) in read_problem(response)["detail"]


async def test_a_request_keeps_the_id_that_its_caller_gave(http: httpx.AsyncClient) -> None:
    response = await http.get("/__version__", headers={"x-request-id": "req-1"})
    assert response.headers["x-request-id"] == "req-1"


@pytest.mark.parametrize("given", ["", "x" * 129, "tab\tin it", "naïve", "ann@example.com", "a b", "<a>"])
async def test_an_id_that_could_harm_a_log_is_replaced(http: httpx.AsyncClient, given: str) -> None:
    response = await http.get("/__version__", headers={b"x-request-id": given.encode()})
    assert len(response.headers["x-request-id"]) == 36


async def test_requests_without_an_id_get_one_each(http: httpx.AsyncClient) -> None:
    ids = {(await http.get("/__version__")).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


async def test_a_caller_who_leaves_before_its_body_is_whole_is_no_failure_of_ours(
    http: httpx.AsyncClient,
) -> None:
    with capture_logs() as events:
        _, writer = await asyncio.open_connection("127.0.0.1", http.base_url.port)
        writer.write(b"POST /public/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.1)
        await hang_up(writer)
        await until(lambda: bool(events))
    assert [(event["event"], event.get("status")) for event in events] == [("request.served", 400)]
