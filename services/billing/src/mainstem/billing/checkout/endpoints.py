"""Checkout endpoints: a Checkout session's URL, and the public page that Stripe sends browsers back to."""

import re

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from mainstem.billing.accounts import storage as accounts
from mainstem.billing.accounts.bodies import LIMIT_BYTES, owner_of
from mainstem.billing.accounts.storage import BillingAccount
from mainstem.billing.checkout.bodies import Purchase
from mainstem.billing.checkout.creation import Checkout
from mainstem.billing.checkout.page import HEADERS, render
from mainstem.billing.checkout.prices import Prices
from mainstem.billing.checkout.returns import CheckoutReturns, ReturnOutcome, ReturnState
from mainstem.billing.settings import RETURN_PATH, STRIPE_ENDPOINT_SECONDS, Settings
from mainstem.billing.stripe.client import require_key
from mainstem.billing.stripe.refusals import ArchivedPriceError, CurrencyError, StripeRefusedError
from mainstem.common.database.pool import Pool
from mainstem.common.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    NotSupportedError,
    PaymentRequiredError,
    UnavailableError,
)
from mainstem.common.http import app as web
from mainstem.common.http.bodies import read
from mainstem.common.http.endpoint import Endpoint

_SESSION_ID = re.compile(r"cs_[A-Za-z0-9_]{1,250}")


class CheckoutState(web.AppState):
    """State that the checkout endpoints need of their process; None without a key at Stripe."""

    settings: Settings
    database: Pool
    prices: Prices | None
    checkout: Checkout | None
    returns: CheckoutReturns | None


BUY = Endpoint(
    "POST",
    "/billing/subscriptions",
    body=Purchase,
    answers={200: "the URL of the checkout"},
    errors=(
        InvalidError,
        NotFoundError,
        PaymentRequiredError,
        ConflictError,
        NotSupportedError,
        ArchivedPriceError,
        CurrencyError,
        StripeRefusedError,
        UnavailableError,
    ),
    scope="billing:write",
    timeout=STRIPE_ENDPOINT_SECONDS,
    body_limit=LIMIT_BYTES,
)
RETURN = Endpoint(
    "GET",
    RETURN_PATH,
    answers={200: "page: state", 404: "page: unknown checkout", 503: "page: Stripe did not answer"},
    errors=(NotSupportedError,),
    public=True,
    timeout=STRIPE_ENDPOINT_SECONDS,
)
ENDPOINTS = (BUY, RETURN)
"""`RETURN` is public, since browsers bring no identity: the session's id admits a person to its state."""


@BUY.handler
async def buy(request: Request[CheckoutState]) -> Response:
    """Return the URL of a Checkout session."""
    given = read(Purchase, await request.body())
    state = request.state
    owner = owner_of(given, "body", state["settings"].owner_kinds)
    async with state["database"].transaction() as connection:
        account = await accounts.require(connection, owner)
    checkout, prices = require_key(state["checkout"]), require_key(state["prices"])
    return JSONResponse({"checkout_session_url": await _sell(checkout, prices, account, given.price)})


async def _sell(checkout: Checkout, prices: Prices, account: BillingAccount, wanted: str | None) -> str:
    """Return the URL of a checkout; a remembered price that was archived since is looked up again."""
    price = await prices.get(wanted)
    try:
        return await checkout.open(account, price)
    except ArchivedPriceError:
        prices.forget(wanted)
        current = await prices.get(wanted)
        if current == price:
            raise
        return await checkout.open(account, current)


@RETURN.handler
async def show_return(request: Request[CheckoutState]) -> Response:
    """Return the page that shows the state of a checkout."""
    returns = require_key(request.state["returns"])
    session_id = request.query_params.get("session_id", "")
    is_id = _SESSION_ID.fullmatch(session_id) is not None
    outcome = await returns.find_outcome(session_id) if is_id else ReturnOutcome(ReturnState.UNKNOWN)
    status, page = render(outcome, request.state["settings"].home)
    return HTMLResponse(page, int(status), headers=dict(HEADERS))
