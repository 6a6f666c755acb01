"""Errors of the database that no endpoint handles: 503 if the same request may pass later, else 500."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest
from serving import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from mainstem.common.errors import PROBLEM
from mainstem.common.http.app import AppState, build_app
from mainstem.common.http.endpoint import Endpoint

TEMPORARY = (
    TimeoutError(),
    ConnectionRefusedError(),
    asyncpg.ConnectionDoesNotExistError("a secret in a text"),
    asyncpg.QueryCanceledError("a secret in a text"),
    asyncpg.ReadOnlySQLTransactionError("a secret in a text"),
    asyncpg.AdminShutdownError(),
    asyncpg.CannotConnectNowError(),
    asyncpg.TooManyConnectionsError(),
    asyncpg.DiskFullError(),
    asyncpg.DeadlockDetectedError(),
    asyncpg.SerializationError(),
    asyncpg.LockNotAvailableError(),
    asyncpg.InvalidPasswordError(),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InternalClientError(),
)
OURS = (
    asyncpg.UndefinedTableError("a secret in a text"),
    asyncpg.InsufficientPrivilegeError(),
    asyncpg.DataError("a secret in a text"),
    asyncpg.UniqueViolationError(),
    asyncpg.ProgramLimitExceededError(),
    asyncpg.exceptions._base.DataError("a secret in a text"),
)
ERRORS = {f"{type(one).__module__}.{type(one).__name__}": one for one in (*TEMPORARY, *OURS)}


FAIL = Endpoint("GET", "/{name}", answers={200: "never"}, public=True)


@FAIL.handler
async def fail(request: Request) -> Response:
    raise ERRORS[request.path_params["name"]]


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[AppState]:
        yield {"identity": None, "checks": {}}

    app = build_app("test", endpoints=[FAIL], lifespan=lifespan)
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


@pytest.mark.parametrize("name", ERRORS)
async def test_an_error_of_the_database_is_a_503_only_if_the_same_request_may_pass_later(
    http: httpx.AsyncClient, name: str
) -> None:
    response = await http.get(f"/{name}")
    assert response.status_code == (503 if ERRORS[name] in TEMPORARY else 500)
    assert response.headers["content-type"] == PROBLEM
    assert ("retry-after" in response.headers) == (ERRORS[name] in TEMPORARY)
    assert "secret" not in response.text
