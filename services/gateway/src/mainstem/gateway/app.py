"""Composition root of the gateway's HTTP process: its state, its endpoints, its proxy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing
from functools import partial

from starlette.applications import Starlette

from mainstem.common.database.pool import REQUEST_SECONDS, open_pool
from mainstem.common.http import app as web
from mainstem.common.http.app import build_app
from mainstem.common.http.health import database_check, require_schema
from mainstem.common.settings import SettingsError
from mainstem.common.telemetry import setup as telemetry
from mainstem.gateway.clients.directory import Directory
from mainstem.gateway.clients.secrets import Comparison
from mainstem.gateway.keys import endpoints as keys
from mainstem.gateway.keys.endpoints import KeyState
from mainstem.gateway.keys.ring import KeyRing
from mainstem.gateway.proxy.endpoints import ProxyState, forward
from mainstem.gateway.proxy.forward import open_proxy
from mainstem.gateway.routes.table import RouteTable, parse
from mainstem.gateway.settings import Settings
from mainstem.gateway.tokens import endpoints as tokens
from mainstem.gateway.tokens.access import Issuer
from mainstem.gateway.tokens.authentication import Authentication
from mainstem.gateway.tokens.callers import Callers
from mainstem.gateway.tokens.endpoints import TokenState
from mainstem.gateway.tokens.identities import IdentitySigner

SERVICE = "gateway"
ENDPOINTS = (*tokens.ENDPOINTS, *keys.ENDPOINTS)


class GatewayState(web.AppState, TokenState, KeyState, ProxyState):
    """Request state of the gateway: what its rooms' endpoints read."""


def build(settings: Settings) -> Starlette:
    """Return the app; nothing is opened before its lifespan starts.

    Raises:
        SettingsError: the file of routes will not do.
    """
    telemetry.start(SERVICE, settings)
    opened = partial(lifespan, settings=settings, table=read_routes(settings))
    return build_app(SERVICE, endpoints=ENDPOINTS, lifespan=opened, unmatched=forward)


def read_routes(settings: Settings) -> RouteTable:
    """Return the rules of the file that the settings name.

    Raises:
        SettingsError: it cannot be read, or will not do.
    """
    try:
        text = settings.routes_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"MAINSTEM_ROUTES_FILE: {error}"]) from None
    return parse(text, settings.upstreams)


@asynccontextmanager
async def lifespan(_app: Starlette, settings: Settings, table: RouteTable) -> AsyncIterator[GatewayState]:
    """Open what the endpoints need, and close it at the end."""
    upstreams = {name: url for name, url in settings.upstreams.items() if url is not None}
    async with (
        open_pool(
            settings.database_url.get_secret_value(), name=SERVICE, seconds=REQUEST_SECONDS
        ) as database,
        open_proxy(upstreams, circuit_seconds=settings.circuit_seconds) as proxy,
    ):
        await require_schema(database)
        ring = KeyRing(database, ahead_seconds=settings.key_ahead_seconds)
        async with _opened(ring), aclosing(Directory(database)) as directory:
            with closing(Comparison()) as comparison:
                yield {
                    "identity": None,
                    "checks": {"database": database_check(database)},
                    "ring": ring,
                    "issuer": Issuer(Authentication(directory, comparison), ring),
                    "callers": Callers(directory, ring),
                    "identities": IdentitySigner(ring),
                    "table": table,
                    "proxy": proxy,
                }


@asynccontextmanager
async def _opened(ring: KeyRing) -> AsyncIterator[None]:
    await ring.open()
    reloading = asyncio.create_task(ring.run(), name="signing-keys")
    try:
        yield
    finally:
        reloading.cancel()
        await asyncio.gather(reloading, return_exceptions=True)
