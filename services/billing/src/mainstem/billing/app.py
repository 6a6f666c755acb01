"""Billing's HTTP process, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette

from mainstem.billing.endpoints import routes
from mainstem.billing.settings import Settings
from mainstem.common import telemetry
from mainstem.common.database import open_database
from mainstem.common.health import database_check, require_schema
from mainstem.common.identity import open_verifier
from mainstem.common.web import State, build_app

SERVICE = "billing"


def build(settings: Settings) -> Starlette:
    """Return the app; nothing is opened before its lifespan starts."""
    telemetry.start(SERVICE, settings)
    return build_app(SERVICE, routes=routes, lifespan=partial(lifespan, settings=settings))


@asynccontextmanager
async def lifespan(_app: Starlette, settings: Settings) -> AsyncIterator[State]:
    """Open what the endpoints need, and close it at the end."""
    async with (
        open_database(settings.database_url.get_secret_value(), name=SERVICE) as database,
        open_verifier(SERVICE, settings.identity_jwks_url) as verifier,
    ):
        await require_schema(database)
        yield {
            "identity": verifier,
            "checks": {"database": database_check(database)},
        }
