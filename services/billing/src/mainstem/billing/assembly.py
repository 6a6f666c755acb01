"""Services that need a key at Stripe, built once in the HTTP process and once in the worker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from mainstem.billing.accounts.customers import Customers
from mainstem.billing.checkout.creation import Checkout, CheckoutTerms
from mainstem.billing.checkout.prices import Prices
from mainstem.billing.checkout.returns import CheckoutReturns
from mainstem.billing.checkout.sessions import CheckoutSessions
from mainstem.billing.checkout.sweep import ReservationSweep
from mainstem.billing.operations.runner import OperationRunner
from mainstem.billing.portal.sessions import Portal
from mainstem.billing.settings import Settings
from mainstem.billing.stripe.client import open_stripe
from mainstem.common.clock import Clock
from mainstem.common.database.pool import Transactions
from mainstem.common.owner import rule
from mainstem.common.queue.waker import Waker


@dataclass(frozen=True)
class StripeServices:
    """Services that work with Stripe."""

    prices: Prices
    checkout: Checkout
    portal: Portal
    returns: CheckoutReturns
    operations: OperationRunner
    sweep: ReservationSweep


@asynccontextmanager
async def open_stripe_services(
    settings: Settings, database: Transactions, clock: Clock, waker: Waker
) -> AsyncIterator[StripeServices | None]:
    """Build the services on one client of Stripe; None without a key."""
    key = settings.stripe_api_key.get_secret_value() if settings.stripe_api_key else ""
    if not key:
        yield None
        return
    wake_ingest = partial(waker.wake, "ingest")
    owner = settings.instance
    async with open_stripe(key, settings.stripe_api_base) as stripe:
        sessions = CheckoutSessions(stripe)
        terms = CheckoutTerms(owner, settings.success, settings.cancel, settings.wait_seconds)
        customers = Customers(database, clock, stripe, rule(settings.owner_link))
        checkout = Checkout(database, clock, stripe, customers, terms)
        operations = OperationRunner(database, clock, stripe, owner=owner, wake_ingest=wake_ingest)
        yield StripeServices(
            prices=Prices(stripe, settings.prices),
            checkout=checkout,
            portal=Portal(database, stripe, operations, wait_seconds=settings.wait_seconds),
            returns=CheckoutReturns(
                database, clock, sessions, wait_seconds=settings.return_wait_seconds, wake_ingest=wake_ingest
            ),
            operations=operations,
            sweep=ReservationSweep(database, clock, sessions, checkout, owner=owner, wake_ingest=wake_ingest),
        )
