"""Sending a person to checkout: one customer, one reservation, one session, however often it is asked for.

The order is fixed: reserve, tie the customer, write down the request, ask Stripe under the reservation's key,
keep the session. Whatever crashes in between, the next caller goes on from there.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from mainstem.billing import mirror
from mainstem.billing.accounts import storage as accounts
from mainstem.billing.accounts.customers import Customers
from mainstem.billing.accounts.storage import Account
from mainstem.billing.checkout import storage as reservations
from mainstem.billing.checkout.prices import Price
from mainstem.billing.checkout.purchases import hints_of
from mainstem.billing.checkout.sessions import Seen, Sessions
from mainstem.billing.checkout.stages import Stage, is_unpaid
from mainstem.billing.checkout.storage import ENDINGS, EXPIRED, OPEN, Reservation, Wanted
from mainstem.billing.policies.debts import Bill, Debt, find_debt
from mainstem.billing.policies.statuses import is_active
from mainstem.billing.stripe.client import MISSING, Object, OutcomeUnknownError, Stripe, is_forgotten
from mainstem.billing.stripe.refusals import RefusedError
from mainstem.common.clock import Clock
from mainstem.common.database.pool import DATABASE_ERRORS, Transactions
from mainstem.common.errors import ConflictError, MainstemError, PaymentRequiredError, UnavailableError
from mainstem.common.queue import hints
from mainstem.common.queue.lease import Lease, LeaseLostError
from mainstem.common.telemetry import metrics

POLL_SECONDS = 0.15
LEASE_SECONDS = 30.0

HAS_ONE = "user already has an active subscription"
OVERDUE = "user has overdue invoices"
NO_URL = "no checkout session URL"
PENDING = "the payment of the last checkout is still pending"

log = structlog.get_logger()
opened = metrics.meter().create_counter(
    "mainstem_checkout_sessions_opened", description="Checkout sessions that a reservation got."
)


@dataclass(frozen=True)
class Terms:
    """Who holds a reservation and for how long, how long a caller waits, and where browsers go."""

    owner: str
    success_url: str
    cancel_url: str
    wait_seconds: float
    lease_seconds: float = LEASE_SECONDS


class _RenewedError(Exception):
    """This attempt certainly came to nothing, and what was in its way is gone: the next one may begin."""


class Checkout:
    """Opens Checkout sessions."""

    def __init__(
        self, database: Transactions, clock: Clock, stripe: Stripe, customers: Customers, terms: Terms
    ) -> None:
        self._database = database
        self._clock = clock
        self._stripe = stripe
        self._sessions = Sessions(stripe)
        self._customers = customers
        self._terms = terms

    async def open(self, account: Account, price: Price) -> str:
        """Return the URL at which the account buys at this price. Safe to repeat, and at once.

        Raises:
            PaymentRequiredError: a bill is overdue.
            ConflictError: the account has a subscription, or a payment that is still pending.
            RefusedError: Stripe will not.
            UnavailableError: not in time; the next call goes on with it.
        """
        try:
            async with asyncio.timeout(self._terms.wait_seconds):
                await self._check_mirror(account)
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

    async def _open(self, account: Account, price: Price) -> str:
        wanted = Wanted(account.id, price.product, price.id)
        while True:
            lease = Lease(self._terms.owner, self._terms.lease_seconds)
            async with self._database.transaction() as connection:
                claim = await reservations.claim(connection, wanted, lease, self._clock.now())
                account = await accounts.get(connection, account.id)
            if claim.is_ours:
                async with self._released_on_failure(claim.reservation, lease):
                    await self._attempt(account, claim.reservation, price, lease)
            elif claim.reservation.status == OPEN:
                if (url := await self._reuse(claim.reservation, price)) is not None:
                    return url
            else:
                await asyncio.sleep(POLL_SECONDS * random.uniform(0.8, 1.2))

    async def _check_mirror(self, account: Account) -> None:
        async with self._database.transaction() as connection:
            bills = await mirror.list_unpaid(connection, account.customer)
            subscriptions = await mirror.list_subscriptions(connection, account.customer)
            statuses = await mirror.list_statuses(connection, account.owner)
        await self._check_debts(bills)
        if any(map(is_active, [*statuses, *(one.status for one in subscriptions)])):
            raise ConflictError(HAS_ONE)

    async def _check_debts(self, bills: Sequence[Bill]) -> None:
        now = self._clock.now()
        debts = [debt for bill in bills if (debt := find_debt(bill, now)) is not None]
        are_owed = await asyncio.gather(*(self._is_owed(debt) for debt in debts))
        if any(are_owed):
            owed = [_shown(debt) for debt, is_owed in zip(debts, are_owed, strict=True) if is_owed]
            raise PaymentRequiredError(OVERDUE, debts=owed)

    async def _is_owed(self, debt: Debt) -> bool:
        """Return whether Stripe shows the debt too: the mirror may be late, and knows no payments."""
        try:
            return is_unpaid(await self._stripe.get_invoice(debt.invoice))
        except RefusedError:
            return True

    async def _reuse(self, one: Reservation, price: Price) -> str | None:
        """Return the URL of an open session; None if it is over, and its reservation freed."""
        seen = await self._sessions.settle(one.session_id or "")
        now = seen.stage if seen is not None else Stage.EXPIRED
        if now is Stage.PENDING:
            raise ConflictError(PENDING)
        if now is Stage.OPEN:
            if one.price == price.id:
                return _url(one)
            now = Stage.EXPIRED
            if not await self._expire(one):
                await asyncio.sleep(POLL_SECONDS)
                return None
        await self._close(one, now, seen)
        return None

    async def _close(self, one: Reservation, ended: Stage, seen: Seen | None) -> None:
        """Free the place; what was ended of a failed purchase is hinted at, in the same commit."""
        async with self._database.transaction() as connection:
            now = self._clock.now()
            is_ours = await reservations.close(connection, one, ENDINGS[ended], now)
            if is_ours and ended is Stage.FAILED and seen is not None:
                await hints.write(connection, hints_of(seen.session), now)

    async def _expire(self, one: Reservation) -> bool:
        """End a session at another price; return whether it ended, and was not paid just now."""
        try:
            await self._stripe.expire_session(one.session_id or "")
        except RefusedError as error:
            log.info("session.expiry_refused", reservation=str(one.id), reason=error.reason)
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
            await self._let_go(reservation, lease, error)
            raise

    async def _attempt(self, account: Account, reservation: Reservation, price: Price, lease: Lease) -> None:
        """Take a reservation that this caller holds up to its session."""
        if reservation.request is not None:
            await self._repeat(account, reservation, reservation.request, lease)
            return
        customer = await self._customers.ensure(account)
        await self._check_stripe(customer)
        request = self._request(account, customer, reservation, price)
        async with self._database.transaction() as connection:
            await reservations.request(connection, lease, reservation, request, self._clock.now())
        await self._send(account, reservation, request, lease)

    async def _repeat(
        self, account: Account, reservation: Reservation, request: Mapping[str, Any], lease: Lease
    ) -> None:
        """Send a stored request again; once its key may be forgotten, look for the session instead."""
        if is_forgotten(reservation.requested_at or self._clock.now(), self._clock.now()):
            await self._adopt(reservation, request, lease)
        else:
            await self._send(account, reservation, request, lease)

    async def _send(
        self, account: Account, reservation: Reservation, request: Mapping[str, Any], lease: Lease
    ) -> None:
        """Create the session under the attempt's key, and keep it."""
        try:
            session = await self._stripe.create_session(request, reservation.key)
        except (RefusedError, OutcomeUnknownError) as error:
            if isinstance(error, OutcomeUnknownError) and not error.is_kept:
                raise
            session = await self._find_or_renew(account, reservation, request, lease, error)
        async with self._database.transaction() as connection:
            await reservations.open_with(connection, lease, reservation, session, self._clock.now())
        opened.add(1)

    async def _adopt(self, one: Reservation, asked: Mapping[str, Any], lease: Lease) -> None:
        """Look for the session of an attempt whose key is forgotten: to ask again would make another."""
        session = await self._stripe.find_session(asked["customer"], one.metadata)
        async with self._database.transaction() as connection:
            now = self._clock.now()
            if session is None:
                await reservations.renew(connection, lease, one, "forgotten", now)
            else:
                await reservations.open_with(connection, lease, one, session, now)

    async def _find_or_renew(
        self,
        account: Account,
        one: Reservation,
        asked: Mapping[str, Any],
        lease: Lease,
        error: RefusedError | OutcomeUnknownError,
    ) -> Object:
        """Return the session if there is one after all; else have the next attempt take a new key."""
        is_vanished = isinstance(error, RefusedError) and (error.code, error.param) == (MISSING, "customer")
        if is_vanished:
            await self._customers.forget(account, asked["customer"])
        elif (session := await self._stripe.find_session(asked["customer"], one.metadata)) is not None:
            return session
        log.warning("checkout.refused", reservation=str(one.id), attempt=one.attempt, reason=error.reason)
        async with self._database.transaction() as connection:
            await reservations.renew(connection, lease, one, error.reason, self._clock.now())
        if is_vanished:
            raise _RenewedError
        raise error

    async def _check_stripe(self, customer: str) -> None:
        """Ask Stripe itself before anything new is sold: the mirror may not have heard yet."""
        try:
            subscriptions = await self._stripe.list_subscriptions(customer)
        except RefusedError as error:
            if error.code == MISSING:
                # The session will be refused for the same reason, and that is where it is mended.
                return
            raise
        if any(is_active(one["status"]) for one in subscriptions):
            raise ConflictError(HAS_ONE)

    def _request(self, account: Account, customer: str, one: Reservation, price: Price) -> dict[str, Any]:
        account_metadata = {"mainstem_account": str(account.id)}
        return {
            "mode": "subscription",
            "customer": customer,
            "client_reference_id": account.login or str(account.id),
            "line_items": [price.line_item],
            "success_url": self._terms.success_url,
            "cancel_url": self._terms.cancel_url,
            "metadata": {**account_metadata, **one.metadata},
            "subscription_data": {"metadata": account_metadata},
        }

    async def _let_go(self, one: Reservation, lease: Lease, error: BaseException) -> None:
        """Give a reservation back, as far as the database lets us; its lease ends by itself otherwise."""
        is_over = isinstance(error, ConflictError)
        reason = error.reason if isinstance(error, RefusedError) else type(error).__name__
        try:
            async with self._database.transaction() as connection:
                if is_over:
                    await reservations.end(connection, lease, one, EXPIRED, self._clock.now())
                else:
                    await reservations.release(connection, lease, one, reason, self._clock.now())
        except (LeaseLostError, *DATABASE_ERRORS) as lost:
            if not isinstance(error, MainstemError):
                log.info("reservation.release_failed", reservation=str(one.id), error=type(lost).__name__)


def _shown(debt: Debt) -> dict[str, Any]:
    since = None if debt.since is None else debt.since.isoformat(timespec="milliseconds")
    return {
        "invoice": debt.invoice,
        "amount": debt.amount,
        "currency": debt.currency,
        "since": since and since.replace("+00:00", "Z"),
    }


def _url(one: Reservation) -> str:
    if not one.url:
        raise MainstemError(NO_URL)
    return one.url
