"""The page that Stripe sends people back to; the one endpoint that browsers see."""

import re

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mainstem.billing.checkout.page import HEADERS, render
from mainstem.billing.checkout.returns import Arrival
from mainstem.billing.checkout.returns import State as Stage
from mainstem.billing.endpoints.state import TIMEOUT_SECONDS, State, shop_of
from mainstem.billing.settings import RETURN_PATH
from mainstem.common.errors import NotSupportedError
from mainstem.common.http.endpoint import Endpoint

_SESSION = re.compile(r"cs_[A-Za-z0-9_]{1,250}")


RETURN = Endpoint(
    "GET",
    RETURN_PATH,
    answers={200: "page: state", 404: "page: unknown checkout", 503: "page: Stripe did not answer"},
    errors=(NotSupportedError,),
    public=True,
    timeout=TIMEOUT_SECONDS,
)
ENDPOINTS = (RETURN,)
"""Public, since browsers bring no identity: the session's id is what admits a person to its state."""


@RETURN.handler
async def receive(request: Request[State]) -> Response:
    """Say what became of a checkout."""
    shop = shop_of(request.state)
    session = request.query_params.get("session_id", "")
    is_one = _SESSION.fullmatch(session) is not None
    arrival = await shop.arrivals.receive(session) if is_one else Arrival(Stage.UNKNOWN)
    status, page = render(arrival, request.state["settings"].home)
    return HTMLResponse(page, int(status), headers=dict(HEADERS))
