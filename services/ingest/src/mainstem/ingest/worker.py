"""Worker process of ingest: drain loops over claimed events, beside health and metrics."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from starlette.applications import Starlette

from mainstem.common.clock import Clock, open_clock
from mainstem.common.database.pool import Pool, open_pool
from mainstem.common.http.app import AppState, build_app
from mainstem.common.http.health import database_check, drain_checks, redis_check, require_schema
from mainstem.common.owner import rule
from mainstem.common.queue.drain import Drain, DrainLoop, open_drains
from mainstem.common.queue.waker import open_waker
from mainstem.common.telemetry import setup as telemetry
from mainstem.ingest.accounts.storage import Mode, ProviderAccount, agree, stripe_accounts
from mainstem.ingest.inbox.backlog import Backlog
from mainstem.ingest.pipeline.commit import Commit
from mainstem.ingest.pipeline.fetches import FetchSource, batch_size
from mainstem.ingest.pipeline.payloads import PayloadSource
from mainstem.ingest.pipeline.run import LEASE_SECONDS, Pipeline, Source, Terms
from mainstem.ingest.providers.stripe.reader import PROVIDER, open_readers
from mainstem.ingest.settings import Settings
from mainstem.ingest.subscriptions.owners import Owners
from mainstem.ingest.subscriptions.sets import SETS
from mainstem.ingest.subscriptions.storage import initialise
from mainstem.ingest.upkeep.walk import Walk

SERVICE = "ingest"
STOP_SECONDS = 10.0
"""Time allowed to events under way at shutdown; the rest are given back."""


def build(settings: Settings) -> Starlette:
    """Return the app; nothing is opened before its lifespan starts."""
    telemetry.start(SERVICE, settings)
    return build_app(SERVICE, endpoints=(), lifespan=partial(lifespan, settings=settings))


@asynccontextmanager
async def lifespan(_app: Starlette, settings: Settings) -> AsyncIterator[AppState]:
    """Open what the work needs, work until the end, and end with what is held."""
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    clock = open_clock(settings.clock_file)
    async with (
        open_pool(settings.database_url.get_secret_value(), name=f"{SERVICE}-worker") as pool,
        open_waker(redis_url) as waker,
    ):
        await require_schema(pool)
        await _initialise(pool, clock, settings.product_rules)
        async with _open_sources(pool, settings) as sources:
            accounts = None if settings.connected_owners else stripe_accounts(settings).keys()
            commit = Commit(PROVIDER, Owners(PROVIDER, rule(settings.owner_link), accounts))
            terms = Terms(settings.instance, settings.failures_to_dead)
            wake_sync = partial(waker.wake, "sync")
            running: list[DrainLoop] = []

            def look() -> None:
                for loop in running:
                    loop.called.set()

            pipelines = {
                name: Pipeline(
                    source,
                    commit,
                    database=pool,
                    clock=clock,
                    terms=terms,
                    wake_sync=wake_sync,
                    on_free=look,
                )
                for name, source in sources.items()
            }
            async with (
                _ended(pipelines.values()),
                open_drains(
                    SERVICE,
                    redis_url,
                    _drains(sources, pipelines, Backlog(pool, clock), Walk(PROVIDER, pool, clock)),
                    waker,
                ) as loops,
            ):
                running.extend(loops)
                checks = {"database": database_check(pool), "redis": redis_check(waker)}
                yield {"identity": None, "checks": checks | dict(drain_checks(loops))}


async def _initialise(pool: Pool, clock: Clock, name: str) -> None:
    """Activate the rule set of this name unless one was activated before."""
    async with pool.transaction() as connection:
        await initialise(connection, SETS[name], clock.now())


def _drains(
    sources: Mapping[str, Source], pipelines: Mapping[str, Pipeline], backlog: Backlog, walk: Walk
) -> list[Drain]:
    """Return one drain a mode; a batch that is fetched does not keep the next claim waiting."""
    drains = [Drain("backlog", backlog.work, 1), Drain("rules", walk.work, walk.batch)]
    if isinstance(source := sources.get(Mode.FETCH), FetchSource):
        drains.append(Drain("accounts", source.identities.work, 1))
    if (payload := pipelines.get(Mode.PAYLOAD)) is not None:
        drains.append(Drain(Mode.PAYLOAD, payload.work, payload.limit))
    if (fetch := pipelines.get(Mode.FETCH)) is not None:
        drains.append(Drain(Mode.FETCH, fetch.start, fetch.limit))
    return drains


@asynccontextmanager
async def _ended(pipelines: Collection[Pipeline]) -> AsyncIterator[None]:
    """Let what is under way end before what it needs is closed."""
    try:
        yield
    finally:
        await asyncio.gather(*(one.finish(STOP_SECONDS) for one in pipelines), return_exceptions=True)


@asynccontextmanager
async def _open_sources(pool: Pool, settings: Settings) -> AsyncIterator[dict[str, Source]]:
    """Open one source for each mode that some account has."""
    accounts = list(stripe_accounts(settings).values())
    async with pool.transaction() as connection:
        epochs = await agree(connection, PROVIDER, accounts)
    keys = {account.name: account.api_key for account in accounts if account.api_key is not None}
    payload, fetch = (_names(accounts, mode) for mode in (Mode.PAYLOAD, Mode.FETCH))
    async with AsyncExitStack() as stack:
        readers = await stack.enter_async_context(open_readers(keys, settings.stripe_api_base))
        sources: dict[str, Source] = {}
        if payload:
            sources[Mode.PAYLOAD] = PayloadSource(PROVIDER, {name: epochs[name] for name in payload})
        if fetch:
            sources[Mode.FETCH] = source = FetchSource(
                PROVIDER,
                {name: epochs[name] for name in fetch},
                readers,
                database=pool,
                concurrency=settings.stripe_concurrency,
                limit=batch_size(settings.stripe_concurrency, LEASE_SECONDS),
            )
            stack.push_async_callback(source.identities.close)
        yield sources


def _names(accounts: Sequence[ProviderAccount], mode: Mode) -> list[str]:
    return [account.name for account in accounts if account.mode is mode]
