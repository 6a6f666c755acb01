"""What the endpoints need, and how they ask for what may not be configured."""

from mainstem.billing.assembly import Shop
from mainstem.billing.settings import Settings
from mainstem.common.clock import Clock
from mainstem.common.database.pool import Pool
from mainstem.common.errors import NotSupportedError
from mainstem.common.http import app as web

NOT_SUPPORTED = "not supported"

TIMEOUT_SECONDS = 18.0
"""Of endpoints that wait for Stripe: longer than any MAINSTEM_BILLING_WAIT_SECONDS, so that none is cut."""


class State(web.State):
    """What the endpoints need; without a key at Stripe there is no shop."""

    settings: Settings
    database: Pool
    clock: Clock
    shop: Shop | None


def shop_of(state: State) -> Shop:
    """Return the shop.

    Raises:
        NotSupportedError: there is no key at Stripe.
    """
    if state["shop"] is None:
        raise NotSupportedError(NOT_SUPPORTED)
    return state["shop"]
