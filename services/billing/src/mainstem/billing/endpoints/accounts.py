"""Whom an application sells to: registered before anything is sold."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mainstem.billing.accounts import storage as accounts
from mainstem.billing.accounts.storage import Account
from mainstem.billing.endpoints.bodies import LIMIT_BYTES, Owner, Registration, owner_of
from mainstem.billing.endpoints.state import State
from mainstem.common.database.pool import Pool
from mainstem.common.errors import InvalidError, NotFoundError
from mainstem.common.http.bodies import read, read_values
from mainstem.common.http.endpoint import Endpoint
from mainstem.common.owner import Link

NOT_FOUND = "user not found"


REGISTER = Endpoint(
    "PUT",
    "/billing/accounts/{kind}/{value}",
    body=Registration,
    answers={201: "the new account", 200: "the account as it is now"},
    errors=(InvalidError,),
    scope="billing:write",
    body_limit=LIMIT_BYTES,
)
SHOW = Endpoint(
    "GET",
    "/billing/accounts/{kind}/{value}",
    answers={200: "the account"},
    errors=(NotFoundError, InvalidError),
    scope="billing:read",
)
ENDPOINTS = (REGISTER, SHOW)


@REGISTER.handler
async def register(request: Request[State]) -> Response:
    """Store whom an application sells to, or what is new of them: 201 if they were unknown, else 200."""
    owner = _owner(request)
    given = read(Registration, await request.body())
    state = request.state
    async with state["database"].transaction() as connection:
        account, is_new = await accounts.register(
            connection, owner, given.email, given.login, state["clock"].now()
        )
    return JSONResponse(represent(account), HTTPStatus.CREATED if is_new else HTTPStatus.OK)


@SHOW.handler
async def show(request: Request[State]) -> Response:
    """Return one account."""
    owner = _owner(request)
    return JSONResponse(represent(await get(request.state["database"], owner)))


def _owner(request: Request[State]) -> Link:
    given = read_values(Owner, request.path_params, "path")
    return owner_of(given, "path", request.state["settings"].owner_kinds)


async def get(database: Pool, owner: Link) -> Account:
    """Return an owner's account.

    Raises:
        NotFoundError: nobody registered one.
    """
    async with database.transaction() as connection:
        account = await accounts.find(connection, owner)
    if account is None:
        raise NotFoundError(NOT_FOUND)
    return account


def represent(account: Account) -> Mapping[str, Any]:
    """Return an account as the API shows it."""
    return {
        "id": str(account.id),
        "owner": account.owner._asdict(),
        "email": account.email,
        "login": account.login,
        "stripe_customer_id": account.customer,
    }
