"""Billing's HTTP process: its endpoints, and the state that they share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette

from mainstem.billing.accounts import endpoints as accounts
from mainstem.billing.accounts.endpoints import AccountsState
from mainstem.billing.assembly import open_stripe_services
from mainstem.billing.checkout import endpoints as checkout
from mainstem.billing.checkout.endpoints import CheckoutState
from mainstem.billing.portal import endpoints as portal
from mainstem.billing.portal.endpoints import PortalState
from mainstem.billing.settings import Settings
from mainstem.common.clock import open_clock
from mainstem.common.database.pool import REQUEST_SECONDS, open_pool
from mainstem.common.http.app import build_app
from mainstem.common.http.health import database_check, redis_check, require_schema
from mainstem.common.http.identity_keys import open_verifier
from mainstem.common.queue.waker import open_waker
from mainstem.common.telemetry import setup as telemetry

SERVICE = "billing"
ENDPOINTS = (*accounts.ENDPOINTS, *checkout.ENDPOINTS, *portal.ENDPOINTS)


class BillingState(AccountsState, CheckoutState, PortalState):
    """State of the process: what the endpoints of all rooms need."""


def build(settings: Settings) -> Starlette:
    """Return the app; nothing is opened before its lifespan starts."""
    telemetry.start(SERVICE, settings)
    return build_app(SERVICE, endpoints=ENDPOINTS, lifespan=partial(lifespan, settings=settings))


@asynccontextmanager
async def lifespan(_app: Starlette, settings: Settings) -> AsyncIterator[BillingState]:
    """Open the state of the endpoints, and close it at the end."""
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    clock = open_clock(settings.clock_file)
    async with (
        open_pool(settings.database_url.get_secret_value(), name=SERVICE, seconds=REQUEST_SECONDS) as pool,
        open_verifier(SERVICE, settings.identity_jwks_url) as verifier,
        open_waker(redis_url) as waker,
        open_stripe_services(settings, pool, clock, waker) as services,
    ):
        await require_schema(pool)
        yield {
            "identity": verifier,
            "checks": {"database": database_check(pool), "redis": redis_check(waker)},
            "settings": settings,
            "database": pool,
            "clock": clock,
            "prices": services.prices if services else None,
            "checkout": services.checkout if services else None,
            "returns": services.returns if services else None,
            "portal": services.portal if services else None,
        }
