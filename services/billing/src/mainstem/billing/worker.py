"""Billing's worker process: operations and reservations of unknown outcome, beside health and metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette

from mainstem.billing.assembly import StripeServices, open_stripe_services
from mainstem.billing.checkout import sweep
from mainstem.billing.operations import runner
from mainstem.billing.settings import Settings
from mainstem.common.clock import open_clock
from mainstem.common.database.pool import open_pool
from mainstem.common.http.app import AppState, build_app
from mainstem.common.http.health import database_check, drain_checks, redis_check, require_schema
from mainstem.common.queue.drain import Drain, open_drains
from mainstem.common.queue.waker import open_waker
from mainstem.common.telemetry import setup as telemetry

SERVICE = "billing"


def build(settings: Settings) -> Starlette:
    """Return the app; nothing is opened before its lifespan starts."""
    telemetry.start(SERVICE, settings)
    return build_app(SERVICE, endpoints=(), lifespan=partial(lifespan, settings=settings))


@asynccontextmanager
async def lifespan(_app: Starlette, settings: Settings) -> AsyncIterator[AppState]:
    """Open what the drains need, run them, and close everything at the end."""
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    clock = open_clock(settings.clock_file)
    async with (
        open_pool(settings.database_url.get_secret_value(), name=f"{SERVICE}-worker") as pool,
        open_waker(redis_url) as waker,
        open_stripe_services(settings, pool, clock, waker) as services,
    ):
        await require_schema(pool)
        async with open_drains(SERVICE, redis_url, _drains(services), waker) as loops:
            checks = {"database": database_check(pool), "redis": redis_check(waker)}
            yield {"identity": None, "checks": checks | dict(drain_checks(loops))}


def _drains(services: StripeServices | None) -> list[Drain]:
    """Return the drains of the worker; none without a key at Stripe."""
    if services is None:
        return []
    return [
        Drain("operations", services.operations.work, runner.LIMIT),
        Drain("reservations", services.sweep.work, sweep.LIMIT),
    ]
