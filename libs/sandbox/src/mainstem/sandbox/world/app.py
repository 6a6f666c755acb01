"""The outside world as one application on one loopback port: every stand-in, their faults and the control."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from mainstem.common.settings import Settings, SettingsError, env
from mainstem.sandbox.acoustic.account import AcousticAccount
from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.stand_ins.faults import ClosingApp, FaultMiddleware, Faults
from mainstem.sandbox.stand_ins.protocol import StandIn
from mainstem.sandbox.stripe.stand_in import StripeStandIn
from mainstem.sandbox.world.clock import MovableClock
from mainstem.sandbox.world.control import Control
from mainstem.sandbox.world.pause import Pause
from mainstem.sandbox.world.settled import Pipeline
from mainstem.sandbox.world.timeline import Timeline

STOP_SECONDS = 1
"""Time allowed to requests under way when the world ends."""


class WorldSettings(Settings):
    """Settings of the world's process: the services' own credentials, so that both sides agree."""

    clock_file: Path = env("MAINSTEM_CLOCK_FILE", "The world's clock, made if there is none.")
    stripe_api_key: SecretStr = env("STRIPE_API_KEY", "The key that the Stripe stand-in accepts.")
    client_id: str = env("CTMS_ACOUSTIC_CLIENT_ID", "Acoustic's client.")
    client_secret: SecretStr = env("CTMS_ACOUSTIC_CLIENT_SECRET", "Acoustic's client secret.")
    refresh_token: SecretStr = env("CTMS_ACOUSTIC_REFRESH_TOKEN", "Acoustic's refresh token.")
    main_table_id: str = env("CTMS_ACOUSTIC_MAIN_TABLE_ID", "Acoustic's main table.")
    newsletter_table_id: str = env("CTMS_ACOUSTIC_NEWSLETTER_TABLE_ID", "Acoustic's newsletter table.")
    product_table_id: str = env("CTMS_ACOUSTIC_PRODUCT_SUBSCRIPTIONS_ID", "Acoustic's product table.")
    pause_file: Path | None = env(
        "MAINSTEM_DELIVERY_PAUSE_FILE",
        "The file whose lock pauses deliveries, made if there is none.",
        default=None,
    )
    folder: Path | None = env(
        "MAINSTEM_SANDBOX_FOLDER", "Where what the stand-ins hold is kept; memory without it.", default=None
    )
    database_url: SecretStr | None = env(
        "MAINSTEM_SANDBOX_DATABASE_URL", "The pipeline's database, by the sandbox's own login.", default=None
    )
    webhook_url: str | None = env(
        "MAINSTEM_SANDBOX_WEBHOOK_URL", "Where Stripe's webhooks go; none are sent without it.", default=None
    )
    webhook_secret: SecretStr | None = env(
        "MAINSTEM_SANDBOX_WEBHOOK_SECRET", "What Stripe's webhooks are signed with.", default=None
    )
    webhook_api_version: str | None = env(
        "MAINSTEM_SANDBOX_WEBHOOK_API_VERSION", "The webhooks' era; today's by default.", default=None
    )

    def contradictions(self) -> list[str]:
        """Return what cannot be meant together."""
        if (self.webhook_url is None) != (self.webhook_secret is None):
            return ["MAINSTEM_SANDBOX_WEBHOOK_URL and MAINSTEM_SANDBOX_WEBHOOK_SECRET go together"]
        return []

    def account(self) -> AcousticAccount:
        """Return Acoustic's account."""
        return AcousticAccount(
            client_id=self.client_id,
            client_secret=self.client_secret.get_secret_value(),
            refresh_token=self.refresh_token.get_secret_value(),
            main_table_id=self.main_table_id,
            newsletter_table_id=self.newsletter_table_id,
            product_table_id=self.product_table_id,
        )


class World:
    """The stand-ins, and what is done to them, behind one application.

    Args:
        clock: the world's time.
        stand_ins: the providers and platforms.
        faults: the scripted faults, which stand-ins that send webhooks ask as well.
        pipeline: the services' tables; without them nothing can be called settled.
        pause: what holds deliveries back; without it nothing can.
    """

    def __init__(
        self,
        clock: MovableClock,
        stand_ins: Sequence[StandIn],
        faults: Faults,
        *,
        pipeline: Pipeline | None = None,
        pause: Pause | None = None,
    ) -> None:
        self._stand_ins = stand_ins
        self._faults = faults
        self._timeline = Timeline(clock, stand_ins)
        self._pipeline = pipeline
        self._pause = pause
        control = Control(stand_ins, faults, self._timeline, pipeline, pause)
        self._routes = Starlette(
            routes=[
                Route("/__lbheartbeat__", _is_alive),
                Route("/__heartbeat__", _is_alive),
                Mount("/_sandbox", app=control.app()),
                *(Mount(f"/{stand_in.name}", routes=stand_in.routes) for stand_in in stand_ins),
            ],
            lifespan=self._live,
        )

    def app(self) -> ClosingApp:
        """Return the application, with the scripted faults and Acoustic's limit around it."""
        app: ClosingApp = FaultMiddleware(self._routes, self._faults)
        for stand_in in self._stand_ins:
            if isinstance(stand_in, AcousticStandIn):
                app = stand_in.limited(app)
        return app

    @asynccontextmanager
    async def _live(self, _: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if self._pipeline is not None:
                await self._pipeline.start()
                stack.push_async_callback(self._pipeline.stop)
            if self._pause is not None:
                stack.callback(self._pause.end)
            for stand_in in self._stand_ins:
                await stand_in.start()
                stack.push_async_callback(stand_in.stop)
            passing = asyncio.create_task(self._timeline.run())
            stack.push_async_callback(_end, passing)
            yield


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _is_alive(_: Request) -> Response:
    """Answer once the stand-ins have started: before that, nobody listens."""
    return JSONResponse({"status": "OK"})


def build_world(settings: WorldSettings) -> World:
    """Return the world of these settings; its webhook endpoint outlives resets.

    Raises:
        OSError: the clock's file cannot be mapped, or the folder not be made.
        sqlite3.OperationalError: another world has the folder, or it cannot be written.
        StripeError: the webhook's URL is not on loopback, or its version does not exist.
    """
    clock = MovableClock.create(settings.clock_file)
    faults = Faults()
    stripe = StripeStandIn(
        clock, faults, api_key=settings.stripe_api_key.get_secret_value(), folder=settings.folder
    )
    if settings.webhook_url is not None and settings.webhook_secret is not None:
        stripe.add_endpoint(
            settings.webhook_url,
            secret=settings.webhook_secret.get_secret_value(),
            api_version=settings.webhook_api_version,
        )
    url = settings.database_url
    pipeline = None if url is None else Pipeline(url.get_secret_value())
    pause = None if settings.pause_file is None else Pause(settings.pause_file)
    stand_ins: list[StandIn] = [stripe, AcousticStandIn(clock, settings.account(), folder=settings.folder)]
    return World(clock, stand_ins, faults, pipeline=pipeline, pause=pause)


def serve(host: str, port: int) -> None:
    """Serve the world that the environment describes until SIGTERM or SIGINT.

    Raises:
        SettingsError: the environment will not do, or the host is not on loopback.
    """
    require_loopback(host)
    uvicorn.run(
        build_world(WorldSettings.from_environment()).app(),
        host=host,
        port=port,
        access_log=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=STOP_SECONDS,
    )


def require_loopback(host: str) -> None:
    """Pass if nobody but this machine reaches the address: the world's secrets are no secrets.

    Raises:
        SettingsError: it is another address, or a name.
    """
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise SettingsError([f"the sandbox serves on loopback only, such as 127.0.0.1, not on {host}"])
