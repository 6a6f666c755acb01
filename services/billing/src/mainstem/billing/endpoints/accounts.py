"""Whom an application sells to: registered before anything is sold."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from mainstem.billing import accounts
from mainstem.billing.accounts import Account
from mainstem.billing.endpoints.bodies import Owner, Registration, owner_of, read, read_values
from mainstem.billing.endpoints.state import State
from mainstem.common.database import Pool
from mainstem.common.errors import NotFoundError
from mainstem.common.owner import Link

NOT_FOUND = "user not found"


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


routes: Sequence[BaseRoute] = (
    Route("/billing/accounts/{kind}/{value}", register, methods=["PUT"]),
    Route("/billing/accounts/{kind}/{value}", show, methods=["GET"]),
)
