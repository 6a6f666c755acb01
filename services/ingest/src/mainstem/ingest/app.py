"""HTTP process of ingest: endpoints, recorder and health checks; it imports no ORM."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette

from mainstem.common.clock import open_clock
from mainstem.common.database.pool import REQUEST_SECONDS, open_pool
from mainstem.common.http.app import build_app
from mainstem.common.http.health import database_check, redis_check, require_schema
from mainstem.common.http.identity_keys import open_verifier
from mainstem.common.queue.waker import open_waker
from mainstem.common.telemetry import setup as telemetry
from mainstem.ingest.accounts.storage import introduce, stripe_accounts
from mainstem.ingest.doors import objects, webhooks
from mainstem.ingest.doors.webhooks import DoorState
from mainstem.ingest.inbox.record import open_recorder
from mainstem.ingest.providers.stripe.reader import PROVIDER
from mainstem.ingest.settings import Settings

SERVICE = "ingest"
ENDPOINTS = (*webhooks.ENDPOINTS, *objects.ENDPOINTS)


def build(settings: Settings) -> Starlette:
    """Return the app; nothing is opened before its lifespan starts."""
    telemetry.start(SERVICE, settings)
    return build_app(SERVICE, endpoints=ENDPOINTS, lifespan=partial(lifespan, settings=settings))


@asynccontextmanager
async def lifespan(_app: Starlette, settings: Settings) -> AsyncIterator[DoorState]:
    """Open what the endpoints need, and close it at the end."""
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    accounts = stripe_accounts(settings)
    async with (
        open_pool(settings.database_url.get_secret_value(), name=SERVICE, seconds=REQUEST_SECONDS) as pool,
        open_verifier(SERVICE, settings.identity_jwks_url) as verifier,
        open_waker(redis_url) as waker,
        open_recorder(
            pool, open_clock(settings.clock_file), partial(waker.wake, SERVICE), accounts.keys()
        ) as recorder,
    ):
        await require_schema(pool)
        async with pool.transaction() as connection:
            await introduce(connection, PROVIDER, accounts.values())
        yield {
            "identity": verifier,
            "checks": {"database": database_check(pool), "redis": redis_check(waker)},
            "accounts": accounts,
            "recorder": recorder,
        }
