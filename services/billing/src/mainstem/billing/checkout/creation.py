"""Creation of a checkout: one customer, one reservation and one session for any number of requests.

The order is fixed: reserve, link the customer, store the request, send it under the reservation's key, store
the session. After a crash at any step the next caller continues at that step.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from mainstem.billing.accounts import storage as accounts
from mainstem.billing.accounts.customers import Customers
from mainstem.billing.accounts.storage import BillingAccount
from mainstem.billing.checkout import storage as reservations
from mainstem.billing.checkout.eligibility import Eligibility
from mainstem.billing.checkout.prices import CheckoutPrice
from mainstem.billing.checkout.purchases import hints_of
from mainstem.billing.checkout.sessions import CheckoutSession, CheckoutSessions
from mainstem.billing.checkout.status import CheckoutStatus
from mainstem.billing.checkout.storage import ENDINGS, EXPIRED, OPEN, CheckoutRequest, Reservation
from mainstem.billing.stripe.client import MISSING, Object, OutcomeUnknownError, Stripe, is_forgotten
from mainstem.billing.stripe.refusals import StripeRefusedError
from mainstem.common.clock import Clock
from mainstem.common.database.pool import DATABASE_ERRORS, Transactions
from mainstem.common.errors import ConflictError, MainstemError, UnavailableError
from mainstem.common.queue import hints
from mainstem.common.queue.lease import Lease, LeaseLostError
from mainstem.common.telemetry import metrics

POLL_SECONDS = 0.15
LEASE_SECONDS = 30.0

NO_URL = "no checkout session URL"
VANISHED = (MISSING, "customer")
"""Code and parameter of a refusal whose customer was deleted at Stripe."""

PENDING = "the payment of the last checkout is still pending"

log = structlog.get_logger()
opened = metrics.meter().create_counter(
    "mainstem_checkout_sessions_opened", description="Checkout sessions that a reservation got."
)


@dataclass(frozen=True)
class CheckoutTerms:
    """Terms of every checkout: lease holder and lease time, time limit of a caller, URLs for the browser."""

    owner: str
    success_url: str
    cancel_url: str
    wait_seconds: float
    lease_seconds: float = LEASE_SECONDS


class _RenewedError(Exception):
    """The attempt certainly created nothing, and its cause is removed: the next attempt may start."""


class Checkout:
    """Creates Checkout sessions, and reuses those that are open."""

    def __init__(
        self, database: Transactions, clock: Clock, stripe: Stripe, customers: Customers, terms: CheckoutTerms
    ) -> None:
        self._database = database
        self._clock = clock
        self._stripe = stripe
        self._eligibility = Eligibility(database, clock, stripe)
        self._sessions = CheckoutSessions(stripe)
        self._customers = customers
        self._terms = terms

    async def open(self, account: BillingAccount, price: CheckoutPrice) -> str:
        """Return the URL of a Checkout session of this price. Safe to repeat and to run concurrently.

        Raises:
            PaymentRequiredError: an invoice is overdue.
            ConflictError: the account has a subscription, or a payment that is still pending.
            StripeRefusedError: Stripe refused a request.
            UnavailableError: the time limit passed; the next call continues.
        """
        try:
            async with asyncio.timeout(self._terms.wait_seconds):
                await self._eligibility.check_mirror(account)
                return await self._open(account, price)
        except TimeoutError:
            raise UnavailableError(
                "the checkout is still being prepared", headers={"Retry-After": "1"}
            ) from None

    async def resume(self, reservation: Reservation, request: Mapping[str, Any], lease: Lease) -> None:
        """Repeat the stored request of an attempt whose outcome is unknown, and keep the session.

        The lease holds the reservation. Nothing is reserved here, and no price is looked up.
        """
        async with self._database.transaction() as connection:
            account = await accounts.get(connection, reservation.account_id)
        async with self._released_on_failure(reservation, lease):
            await self._repeat(account, reservation, request, lease)

    async def _open(self, account: BillingAccount, price: CheckoutPrice) -> str:
        checkout = CheckoutRequest(account.id, price.product, price.id)
        while True:
            lease = Lease(self._terms.owner, self._terms.lease_seconds)
            async with self._database.transaction() as connection:
                claim = await reservations.claim(connection, checkout, lease, self._clock.now())
                account = await accounts.get(connection, account.id)
            if claim.is_ours:
                async with self._released_on_failure(claim.reservation, lease):
                    await self._attempt(account, claim.reservation, price, lease)
            elif claim.reservation.status == OPEN:
                if (url := await self._reuse(claim.reservation, price)) is not None:
                    return url
            else:
                await asyncio.sleep(POLL_SECONDS * random.uniform(0.8, 1.2))

    async def _reuse(self, reservation: Reservation, price: CheckoutPrice) -> str | None:
        """Return the URL of an open session; end the reservation and return None if the session has ended."""
        session = await self._sessions.settle(reservation.session_id or "")
        status = session.status if session is not None else CheckoutStatus.EXPIRED
        if status is CheckoutStatus.PENDING:
            raise ConflictError(PENDING)
        if status is CheckoutStatus.OPEN:
            if reservation.price == price.id:
                return _url(reservation)
            status = CheckoutStatus.EXPIRED
            if not await self._expire(reservation):
                await asyncio.sleep(POLL_SECONDS)
                return None
        await self._close(reservation, status, session)
        return None

    async def _close(
        self, reservation: Reservation, ended: CheckoutStatus, session: CheckoutSession | None
    ) -> None:
        """End a reservation; hints for a failed purchase go into the same commit."""
        async with self._database.transaction() as connection:
            now = self._clock.now()
            is_ours = await reservations.close(connection, reservation, ENDINGS[ended], now)
            if is_ours and ended is CheckoutStatus.FAILED and session is not None:
                await hints.write(connection, hints_of(session.data), now)

    async def _expire(self, reservation: Reservation) -> bool:
        """Expire a session of another price; return False if it was paid or expired just now."""
        try:
            await self._stripe.expire_session(reservation.session_id or "")
        except StripeRefusedError as error:
            log.info("session.expiry_refused", reservation=str(reservation.id), reason=error.reason)
            return False
        return True

    @asynccontextmanager
    async def _released_on_failure(self, reservation: Reservation, lease: Lease) -> AsyncIterator[None]:
        """Release a reservation if its attempt fails; after a lost lease its new holder goes on."""
        try:
            yield
        except LeaseLostError:
            log.info("reservation.lost", reservation=str(reservation.id))
        except _RenewedError:
            log.info("reservation.renewed", reservation=str(reservation.id))
        except BaseException as error:
            await self._release(reservation, lease, error)
            raise

    async def _attempt(
        self, account: BillingAccount, reservation: Reservation, price: CheckoutPrice, lease: Lease
    ) -> None:
        """Take a reservation that this caller holds up to its session."""
        if reservation.request is not None:
            await self._repeat(account, reservation, reservation.request, lease)
            return
        customer = await self._customers.ensure(account)
        await self._eligibility.check_stripe(customer)
        request = self._request(account, customer, reservation, price)
        async with self._database.transaction() as connection:
            await reservations.store_request(connection, lease, reservation, request, self._clock.now())
        await self._send(account, reservation, request, lease)

    async def _repeat(
        self, account: BillingAccount, reservation: Reservation, request: Mapping[str, Any], lease: Lease
    ) -> None:
        """Send a stored request again; once its key may be forgotten, look for the session instead."""
        if is_forgotten(reservation.requested_at or self._clock.now(), self._clock.now()):
            await self._adopt(reservation, request, lease)
        else:
            await self._send(account, reservation, request, lease)

    async def _send(
        self, account: BillingAccount, reservation: Reservation, request: Mapping[str, Any], lease: Lease
    ) -> None:
        """Create the session under the attempt's key, and keep it."""
        try:
            session = await self._stripe.create_session(request, reservation.key)
        except (StripeRefusedError, OutcomeUnknownError) as error:
            if isinstance(error, OutcomeUnknownError) and not error.is_kept:
                raise
            session = await self._find_or_renew(account, reservation, request, lease, error)
        async with self._database.transaction() as connection:
            await reservations.store_session(connection, lease, reservation, session, self._clock.now())
        opened.add(1)

    async def _adopt(self, reservation: Reservation, request: Mapping[str, Any], lease: Lease) -> None:
        """Look for the session of an attempt whose key is forgotten.

        Another request could create a second session.
        """
        session = await self._stripe.find_session(request["customer"], reservation.metadata)
        async with self._database.transaction() as connection:
            now = self._clock.now()
            if session is None:
                await reservations.renew(connection, lease, reservation, "forgotten", now)
            else:
                await reservations.store_session(connection, lease, reservation, session, now)

    async def _find_or_renew(
        self,
        account: BillingAccount,
        reservation: Reservation,
        request: Mapping[str, Any],
        lease: Lease,
        error: StripeRefusedError | OutcomeUnknownError,
    ) -> Object:
        """Return the session if it exists after all; else start a new attempt under a new key, and raise."""
        customer = request["customer"]
        is_vanished = isinstance(error, StripeRefusedError) and (error.code, error.param) == VANISHED
        if is_vanished:
            await self._customers.unlink(account, customer)
        elif (session := await self._stripe.find_session(customer, reservation.metadata)) is not None:
            return session
        log.warning(
            "checkout.refused",
            reservation=str(reservation.id),
            attempt=reservation.attempt,
            reason=error.reason,
        )
        async with self._database.transaction() as connection:
            await reservations.renew(connection, lease, reservation, error.reason, self._clock.now())
        if is_vanished:
            raise _RenewedError
        raise error

    def _request(
        self, account: BillingAccount, customer: str, reservation: Reservation, price: CheckoutPrice
    ) -> dict[str, Any]:
        account_metadata = {"mainstem_account": str(account.id)}
        return {
            "mode": "subscription",
            "customer": customer,
            "client_reference_id": account.login or str(account.id),
            "line_items": [price.line_item],
            "success_url": self._terms.success_url,
            "cancel_url": self._terms.cancel_url,
            "metadata": {**account_metadata, **reservation.metadata},
            "subscription_data": {"metadata": account_metadata},
        }

    async def _release(self, reservation: Reservation, lease: Lease, error: BaseException) -> None:
        """Release a reservation after a failure; if the database fails too, its lease runs out."""
        is_over = isinstance(error, ConflictError)
        reason = error.reason if isinstance(error, StripeRefusedError) else type(error).__name__
        try:
            async with self._database.transaction() as connection:
                if is_over:
                    await reservations.end(connection, lease, reservation, EXPIRED, self._clock.now())
                else:
                    await reservations.release(connection, lease, reservation, reason, self._clock.now())
        except (LeaseLostError, *DATABASE_ERRORS) as lost:
            if not isinstance(error, MainstemError):
                log.info(
                    "reservation.release_failed", reservation=str(reservation.id), error=type(lost).__name__
                )


def _url(reservation: Reservation) -> str:
    if not reservation.url:
        raise MainstemError(NO_URL)
    return reservation.url
