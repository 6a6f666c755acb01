"""Buying, managing and listing subscriptions: Zed's three endpoints, for owners of any kind."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mainstem.billing import mirror
from mainstem.billing.accounts.storage import Account
from mainstem.billing.assembly import Shop
from mainstem.billing.endpoints.accounts import get
from mainstem.billing.endpoints.bodies import LIMIT_BYTES, Management, OwnerQuery, Purchase, owner_of
from mainstem.billing.endpoints.state import TIMEOUT_SECONDS, State, shop_of
from mainstem.billing.mirror import Subscription
from mainstem.billing.portal.sessions import Visit
from mainstem.billing.settings import Settings, is_web, origin_of
from mainstem.billing.stripe.refusals import (
    ArchivedPriceError,
    CurrencyError,
    EndedError,
    NoPortalError,
    RefusedError,
    ScheduledError,
)
from mainstem.common.errors import (
    BadGatewayError,
    ConflictError,
    FieldError,
    InvalidError,
    NotFoundError,
    NotSupportedError,
    PaymentRequiredError,
    UnavailableError,
)
from mainstem.common.http.bodies import read, read_values
from mainstem.common.http.endpoint import Endpoint

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
        RefusedError,
        UnavailableError,
    ),
    scope="billing:write",
    timeout=TIMEOUT_SECONDS,
    body_limit=LIMIT_BYTES,
)
MANAGE = Endpoint(
    "POST",
    "/billing/subscriptions/manage",
    body=Management,
    answers={200: "the URL of the portal, or null where the request needs none"},
    errors=(
        InvalidError,
        NotFoundError,
        ConflictError,
        NotSupportedError,
        NoPortalError,
        ScheduledError,
        EndedError,
        RefusedError,
        BadGatewayError,
        UnavailableError,
    ),
    scope="billing:write",
    timeout=TIMEOUT_SECONDS,
    body_limit=LIMIT_BYTES,
)
LIST = Endpoint(
    "GET",
    "/billing/subscriptions",
    answers={200: "the owner's subscriptions"},
    errors=(InvalidError, NotFoundError),
    scope="billing:read",
)
ENDPOINTS = (BUY, MANAGE, LIST)


@BUY.handler
async def buy(request: Request[State]) -> Response:
    """Send somebody to checkout."""
    given = read(Purchase, await request.body())
    owner = owner_of(given, "body", request.state["settings"].owner_kinds)
    account = await get(request.state["database"], owner)
    shop = shop_of(request.state)
    return JSONResponse({"checkout_session_url": await _sell(shop, account, given.price)})


async def _sell(shop: Shop, account: Account, wanted: str | None) -> str:
    """Return the URL of a checkout; a price that was archived since it was remembered is looked up again."""
    price = await shop.prices.get(wanted)
    try:
        return await shop.checkout.open(account, price)
    except ArchivedPriceError:
        shop.prices.forget(wanted)
        current = await shop.prices.get(wanted)
        if current == price:
            raise
        return await shop.checkout.open(account, current)


@MANAGE.handler
async def manage(request: Request[State]) -> Response:
    """Send somebody to the portal, or do what needs none."""
    given = read(Management, await request.body())
    settings = request.state["settings"]
    owner = owner_of(given, "body", settings.owner_kinds)
    return_url = _return_url(given.redirect_to, settings)
    account = await get(request.state["database"], owner)
    shop = shop_of(request.state)
    visit = Visit(given.intent, given.subscription_id, return_url)
    return JSONResponse({"billing_portal_session_url": await shop.portal.manage(account, visit)})


@LIST.handler
async def list_all(request: Request[State]) -> Response:
    """Return somebody's subscriptions, as they are mirrored, the oldest first."""
    given = read_values(OwnerQuery, request.query_params, "query")
    owner = owner_of(given, "query", request.state["settings"].owner_kinds)
    account = await get(request.state["database"], owner)
    async with request.state["database"].transaction() as connection:
        found = await mirror.list_subscriptions(connection, account.customer)
    return JSONResponse({"subscriptions": [represent(one) for one in found]})


def represent(one: Subscription) -> Mapping[str, Any]:
    """Return a subscription as the API shows it."""
    return {
        "id": one.id,
        "name": one.name,
        "status": one.status,
        "trial_end_at": _text(one.trial_end),
        "cancel_at": _text(one.cancel_at),
        "is_cancelable": one.is_cancelable,
    }


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _return_url(wanted: str | None, settings: Settings) -> str:
    """Return where a browser goes from the portal; nobody is sent to an origin that is not ours."""
    if wanted is None:
        return settings.home
    if not is_web(wanted) or "\\" in wanted or origin_of(wanted) not in settings.origins:
        problem = FieldError(loc=["body", "redirect_to"], msg="Not an allowed origin", type="origin")
        raise InvalidError("body.redirect_to: Not an allowed origin", [problem])
    return wanted
