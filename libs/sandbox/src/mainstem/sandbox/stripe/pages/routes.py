"""Table of every page and form."""

from collections.abc import Callable, Sequence

from starlette.routing import Route

from mainstem.sandbox.stripe.pages import checkout, portal
from mainstem.sandbox.stripe.pages.page_requests import Handler, endpoint
from mainstem.sandbox.stripe.pages.portal import inside
from mainstem.sandbox.stripe.state.account import StripeAccount

_CHECKOUT = "/_pages/checkout/{id}"
_PORTAL = "/_pages/portal/{id}"
_SUBSCRIPTION = _PORTAL + "/subscriptions/{subscription}"

PAGES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", _CHECKOUT, checkout.show),
    ("POST", _CHECKOUT, checkout.act),
    ("GET", _PORTAL, inside(portal.start)),
    ("GET", f"{_PORTAL}/home", inside(portal.home)),
    ("GET", f"{_PORTAL}/done", inside(portal.done)),
    ("GET", f"{_PORTAL}/payment-method", inside(portal.ask_method, feature="payment_method_update")),
    ("POST", f"{_PORTAL}/payment-method", inside(portal.change_method, feature="payment_method_update")),
    ("GET", f"{_SUBSCRIPTION}/cancel", inside(portal.ask_cancel, feature="subscription_cancel")),
    ("POST", f"{_SUBSCRIPTION}/cancel", inside(portal.cancel, feature="subscription_cancel")),
    ("POST", f"{_SUBSCRIPTION}/resume", inside(portal.resume, feature="subscription_cancel")),
    ("GET", f"{_SUBSCRIPTION}/update", inside(portal.ask_update, feature="subscription_update")),
    ("POST", f"{_SUBSCRIPTION}/update", inside(portal.update, feature="subscription_update")),
)


def routes(account: Callable[[], StripeAccount]) -> Sequence[Route]:
    """Return the routes of all pages, over the account that there is when a request comes."""
    return [Route(path, endpoint(account, handler), methods=[method]) for method, path, handler in PAGES]
