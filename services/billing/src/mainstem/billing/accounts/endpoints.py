"""Account endpoints: register a payer before its first checkout, and show it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mainstem.billing.accounts import storage as accounts
from mainstem.billing.accounts.bodies import LIMIT_BYTES, OwnerReference, Registration, owner_of
from mainstem.billing.accounts.storage import BillingAccount
from mainstem.billing.settings import Settings
from mainstem.common.clock import Clock
from mainstem.common.database.pool import Pool
from mainstem.common.errors import InvalidError, NotFoundError
from mainstem.common.http import app as web
from mainstem.common.http.bodies import read, read_values
from mainstem.common.http.endpoint import Endpoint
from mainstem.common.owner import Link


class AccountsState(web.AppState):
    """State that the account endpoints need of their process."""

    settings: Settings
    database: Pool
    clock: Clock


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
async def register(request: Request[AccountsState]) -> Response:
    """Store a payer, or its new address and login: 201 if it was unknown, else 200."""
    owner = _owner(request)
    given = read(Registration, await request.body())
    state = request.state
    async with state["database"].transaction() as connection:
        account, is_new = await accounts.register(
            connection, owner, given.email, given.login, state["clock"].now()
        )
    return JSONResponse(represent(account), HTTPStatus.CREATED if is_new else HTTPStatus.OK)


@SHOW.handler
async def show(request: Request[AccountsState]) -> Response:
    """Return one account."""
    owner = _owner(request)
    async with request.state["database"].transaction() as connection:
        account = await accounts.require(connection, owner)
    return JSONResponse(represent(account))


def _owner(request: Request[AccountsState]) -> Link:
    given = read_values(OwnerReference, request.path_params, "path")
    return owner_of(given, "path", request.state["settings"].owner_kinds)


def represent(account: BillingAccount) -> Mapping[str, Any]:
    """Return an account as the API shows it."""
    return {
        "id": str(account.id),
        "owner": account.owner._asdict(),
        "email": account.email,
        "login": account.login,
        "stripe_customer_id": account.customer,
    }
