"""Composition root of sync's worker process: drain loops `relay` and `deliver`, health on its own port."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from starlette.applications import Starlette

from mainstem.common.clock import Clock, open_clock
from mainstem.common.database.pool import Connections, open_pool
from mainstem.common.http.app import AppState, build_app
from mainstem.common.http.calls.client import open_client
from mainstem.common.http.health import database_check, drain_checks, redis_check, require_schema
from mainstem.common.queue.drain import Drain, DrainLoop, open_drains
from mainstem.common.queue.waker import open_waker
from mainstem.common.telemetry import setup as telemetry
from mainstem.sync.delivery import relay
from mainstem.sync.delivery.deliver import AHEAD, MARGIN_SECONDS, Deliverer, open_deliverer
from mainstem.sync.delivery.pause import pausable
from mainstem.sync.delivery.relay import Relay
from mainstem.sync.delivery.slots import SlotLimit, open_slots
from mainstem.sync.platforms.acoustic import platform as acoustic
from mainstem.sync.platforms.acoustic import tokens
from mainstem.sync.settings import Settings

SERVICE = "sync"
RELAY = "relay"
DELIVER = "deliver"


def build(settings: Settings) -> Starlette:
    """Return the worker; nothing is opened before its lifespan starts."""
    telemetry.start(SERVICE, settings)
    return build_app(SERVICE, endpoints=(), lifespan=partial(lifespan, settings=settings))


@asynccontextmanager
async def lifespan(_app: Starlette, settings: Settings) -> AsyncIterator[AppState]:
    """Run the drains until the end; each then finishes what it holds."""
    redis_url = None if settings.redis_url is None else settings.redis_url.get_secret_value()
    clock, owner = open_clock(settings.clock_file), f"{settings.instance}:{os.getpid()}"
    async with (
        open_pool(settings.database_url.get_secret_value(), name=f"{SERVICE}-worker") as database,
        open_waker(redis_url) as waker,
    ):
        await require_schema(database)
        loops: dict[str, DrainLoop] = {}

        def look() -> None:
            if DELIVER in loops:
                loops[DELIVER].called.set()

        def on_marked() -> None:
            # This process looks at once, the others when they are woken.
            look()
            waker.wake(SERVICE)

        relaying = Relay(database, settings.platforms, clock, owner, on_marked)
        drains = [Drain(RELAY, relaying.work, relay.LIMIT)]
        async with AsyncExitStack() as delivering:
            if settings.acoustic_sync:
                deliverer = await delivering.enter_async_context(
                    open_acoustic(settings, database, clock, owner, look)
                )
                work = pausable(deliverer.work, settings.pause_file)
                drains.append(Drain(DELIVER, work, AHEAD * settings.acoustic_concurrency))
            async with open_drains(SERVICE, redis_url, drains, waker) as running:
                loops |= {loop.drain.name: loop for loop in running}
                checks = {"database": database_check(database), "redis": redis_check(waker)}
                yield {"identity": None, "checks": {**checks, **drain_checks(running)}}


@asynccontextmanager
async def open_acoustic(
    settings: Settings, database: Connections, clock: Clock, owner: str, look: Callable[[], None]
) -> AsyncIterator[Deliverer]:
    """Open what delivers to Acoustic; at the end it finishes what is under way.

    Args:
        settings: the deployment's.
        database: where deliveries stand.
        clock: world time.
        owner: this worker, in leases.
        look: called when a delivery is due again as soon as it is settled.
    """
    account = tokens.AcousticAccount(
        client_id=settings.acoustic_client_id,
        client_secret=settings.acoustic_client_secret.get_secret_value(),
        refresh_token=settings.acoustic_refresh_token.get_secret_value(),
        main_table=settings.acoustic_main_table,
        product_table=settings.acoustic_product_table,
    )
    seconds = settings.acoustic_timeout_seconds
    limit = SlotLimit(acoustic.NAME, settings.acoustic_concurrency, seconds + MARGIN_SECONDS)
    async with (
        open_client(
            acoustic.NAME,
            base_url=settings.acoustic_url,
            timeout_seconds=seconds,
            connections=2 * settings.acoustic_concurrency,
        ) as client,
        open_slots(database, limit, owner) as slots,
    ):
        platform = acoustic.Acoustic(
            client, account, timeout_seconds=seconds, deletes_vanished=settings.delete_vanished_products
        )
        sends = settings.acoustic_integration
        deliverer = Deliverer(database, platform, slots, clock, owner, on_due=look, sends=sends)
        async with open_deliverer(deliverer):
            yield deliverer
