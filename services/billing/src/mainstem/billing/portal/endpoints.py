"""Portal endpoints: a portal session's URL, and an owner's subscriptions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mainstem.billing import mirror
from mainstem.billing.accounts import storage as accounts
from mainstem.billing.accounts.bodies import LIMIT_BYTES, OwnerQuery, owner_of
from mainstem.billing.mirror import MirroredSubscription
from mainstem.billing.portal.bodies import Management
from mainstem.billing.portal.sessions import Portal, PortalRequest
from mainstem.billing.settings import STRIPE_ENDPOINT_SECONDS, Settings, is_web, origin_of
from mainstem.billing.stripe.client import require_key
from mainstem.billing.stripe.refusals import EndedError, NoPortalError, ScheduledError, StripeRefusedError
from mainstem.common.database.pool import Pool
from mainstem.common.errors import (
    BadGatewayError,
    ConflictError,
    FieldError,
    InvalidError,
    NotFoundError,
    NotSupportedError,
    UnavailableError,
)
from mainstem.common.http import app as web
from mainstem.common.http.bodies import read, read_values
from mainstem.common.http.endpoint import Endpoint


class PortalState(web.AppState):
    """State that the portal endpoints need of their process; `portal` is None without a key at Stripe."""

    settings: Settings
    database: Pool
    portal: Portal | None


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
        StripeRefusedError,
        BadGatewayError,
        UnavailableError,
    ),
    scope="billing:write",
    timeout=STRIPE_ENDPOINT_SECONDS,
    body_limit=LIMIT_BYTES,
)
LIST = Endpoint(
    "GET",
    "/billing/subscriptions",
    answers={200: "the owner's subscriptions"},
    errors=(InvalidError, NotFoundError),
    scope="billing:read",
)
ENDPOINTS = (MANAGE, LIST)


@MANAGE.handler
async def manage(request: Request[PortalState]) -> Response:
    """Return the URL of a portal session, or null after an operation that needs none."""
    given = read(Management, await request.body())
    settings = request.state["settings"]
    owner = owner_of(given, "body", settings.owner_kinds)
    portal_request = PortalRequest(
        given.intent, given.subscription_id, _return_url(given.redirect_to, settings)
    )
    async with request.state["database"].transaction() as connection:
        account = await accounts.require(connection, owner)
    portal = require_key(request.state["portal"])
    return JSONResponse({"billing_portal_session_url": await portal.manage(account, portal_request)})


@LIST.handler
async def list_all(request: Request[PortalState]) -> Response:
    """Return an owner's mirrored subscriptions, the oldest first."""
    given = read_values(OwnerQuery, request.query_params, "query")
    owner = owner_of(given, "query", request.state["settings"].owner_kinds)
    async with request.state["database"].transaction() as connection:
        account = await accounts.require(connection, owner)
        found = await mirror.list_subscriptions(connection, account.customer)
    return JSONResponse({"subscriptions": [represent(subscription) for subscription in found]})


def represent(subscription: MirroredSubscription) -> Mapping[str, Any]:
    """Return a subscription as the API shows it."""
    return {
        "id": subscription.id,
        "name": subscription.name,
        "status": subscription.status,
        "trial_end_at": _text(subscription.trial_end),
        "cancel_at": _text(subscription.cancel_at),
        "is_cancelable": subscription.is_cancelable,
    }


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _return_url(wanted: str | None, settings: Settings) -> str:
    """Return the URL after the portal.

    Raises:
        InvalidError: the origin of the wanted URL is not configured.
    """
    if wanted is None:
        return settings.home
    if not is_web(wanted) or "\\" in wanted or origin_of(wanted) not in settings.origins:
        problem = FieldError(loc=["body", "redirect_to"], msg="Not an allowed origin", type="origin")
        raise InvalidError("body.redirect_to: Not an allowed origin", [problem])
    return wanted
