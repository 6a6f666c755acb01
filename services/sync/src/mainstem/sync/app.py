"""Composition root of sync's HTTP process: its state and its endpoints."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette

from mainstem.common.clock import open_clock
from mainstem.common.database.pool import REQUEST_SECONDS
from mainstem.common.database.sessions import open_database
from mainstem.common.http import app as web
from mainstem.common.http.app import build_app
from mainstem.common.http.health import database_check, redis_check, require_schema
from mainstem.common.http.identity_keys import open_verifier
from mainstem.common.queue.waker import open_waker
from mainstem.common.telemetry import setup as telemetry
from mainstem.sync.contacts import endpoints as contacts
from mainstem.sync.contacts.endpoints import ContactState
from mainstem.sync.settings import Settings

SERVICE = "sync"
ENDPOINTS = (*contacts.ENDPOINTS,)


class SyncState(web.AppState, ContactState):
    """Request state of sync: what its rooms' endpoints read."""


def build(settings: Settings) -> Starlette:
    """Return the app; nothing is opened before its lifespan starts."""
    telemetry.start(SERVICE, settings)
    return build_app(SERVICE, endpoints=ENDPOINTS, lifespan=partial(lifespan, settings=settings))


@asynccontextmanager
async def lifespan(_app: Starlette, settings: Settings) -> AsyncIterator[SyncState]:
    """Open what the endpoints need, and close it at the end."""
    redis_url = None if settings.redis_url is None else settings.redis_url.get_secret_value()
    async with (
        open_database(
            settings.database_url.get_secret_value(), name=SERVICE, seconds=REQUEST_SECONDS
        ) as database,
        open_waker(redis_url) as waker,
        open_verifier(SERVICE, settings.identity_jwks_url) as verifier,
    ):
        await require_schema(database)
        yield {
            "identity": verifier,
            "checks": {"database": database_check(database), "redis": redis_check(waker)},
            "database": database,
            "waker": waker,
            "clock": open_clock(settings.clock_file),
            "platforms": settings.platforms,
        }
