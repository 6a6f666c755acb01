"""What needs a key at Stripe, put together once for the HTTP process and once for the worker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from mainstem.billing.accounts.customers import Customers
from mainstem.billing.checkout.opening import Checkout, Terms
from mainstem.billing.checkout.prices import Prices
from mainstem.billing.checkout.returns import Arrivals
from mainstem.billing.checkout.sessions import Sessions
from mainstem.billing.checkout.sweep import Sweep
from mainstem.billing.operations.perform import Operations
from mainstem.billing.portal.sessions import Portal
from mainstem.billing.settings import Settings
from mainstem.billing.stripe.client import open_stripe
from mainstem.common.clock import Clock
from mainstem.common.database.pool import Transactions
from mainstem.common.owner import rule
from mainstem.common.queue.waker import Waker


@dataclass(frozen=True)
class Shop:
    """Everything that needs a key at Stripe."""

    prices: Prices
    checkout: Checkout
    portal: Portal
    arrivals: Arrivals
    operations: Operations
    sweep: Sweep


@asynccontextmanager
async def open_shop(
    settings: Settings, database: Transactions, clock: Clock, waker: Waker
) -> AsyncIterator[Shop | None]:
    """Open the shop; None without a key."""
    key = settings.stripe_api_key.get_secret_value() if settings.stripe_api_key else ""
    if not key:
        yield None
        return
    wake_ingest = partial(waker.wake, "ingest")
    owner = settings.instance
    async with open_stripe(key, settings.stripe_api_base) as stripe:
        sessions = Sessions(stripe)
        terms = Terms(owner, settings.success, settings.cancel, settings.wait_seconds)
        customers = Customers(database, clock, stripe, rule(settings.owner_link))
        checkout = Checkout(database, clock, stripe, customers, terms)
        operations = Operations(database, clock, stripe, owner=owner, wake_ingest=wake_ingest)
        yield Shop(
            prices=Prices(stripe, settings.prices),
            checkout=checkout,
            portal=Portal(database, stripe, operations, wait_seconds=settings.wait_seconds),
            arrivals=Arrivals(
                database, clock, sessions, wait_seconds=settings.return_wait_seconds, wake_ingest=wake_ingest
            ),
            operations=operations,
            sweep=Sweep(database, clock, sessions, checkout, owner=owner, wake_ingest=wake_ingest),
        )
