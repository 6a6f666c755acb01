"""Billing's HTTP process, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette

from mainstem.billing.assembly import open_shop
from mainstem.billing.endpoints import ENDPOINTS
from mainstem.billing.endpoints.state import State
from mainstem.billing.settings import Settings
from mainstem.common.clock import open_clock
from mainstem.common.database.pool import REQUEST_SECONDS, open_pool
from mainstem.common.http.app import build_app
from mainstem.common.http.health import database_check, redis_check, require_schema
from mainstem.common.http.identity import open_verifier
from mainstem.common.queue.waker import open_waker
from mainstem.common.telemetry import setup as telemetry

SERVICE = "billing"


def build(settings: Settings) -> Starlette:
    """Return the app; nothing is opened before its lifespan starts."""
    telemetry.start(SERVICE, settings)
    return build_app(SERVICE, endpoints=ENDPOINTS, lifespan=partial(lifespan, settings=settings))


@asynccontextmanager
async def lifespan(_app: Starlette, settings: Settings) -> AsyncIterator[State]:
    """Open what the endpoints need, and close it at the end."""
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    clock = open_clock(settings.clock_file)
    async with (
        open_pool(settings.database_url.get_secret_value(), name=SERVICE, seconds=REQUEST_SECONDS) as pool,
        open_verifier(SERVICE, settings.identity_jwks_url) as verifier,
        open_waker(redis_url) as waker,
        open_shop(settings, pool, clock, waker) as shop,
    ):
        await require_schema(pool)
        yield {
            "identity": verifier,
            "checks": {"database": database_check(pool), "redis": redis_check(waker)},
            "settings": settings,
            "database": pool,
            "clock": clock,
            "shop": shop,
        }
