"""Returns from a checkout: the outcome to show, after the mirror was refreshed by hints."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from mainstem.billing import mirror
from mainstem.billing.accounts.storage import PROVIDER_ACCOUNT
from mainstem.billing.checkout import storage as reservations
from mainstem.billing.checkout.purchases import hints_of, subscription_of
from mainstem.billing.checkout.sessions import CheckoutSession, CheckoutSessions
from mainstem.billing.checkout.status import CheckoutStatus
from mainstem.billing.checkout.storage import ENDINGS, OPEN, Reservation
from mainstem.billing.policies.statuses import is_active
from mainstem.billing.stripe.client import PROVIDER, Object, OutcomeUnknownError
from mainstem.billing.stripe.refusals import StripeRefusedError
from mainstem.common.clock import Clock
from mainstem.common.database.pool import Transactions
from mainstem.common.queue import hints
from mainstem.common.queue.hints import Written

LOOK_SECONDS = 6.0
"""Time limit of reading a session from Stripe; then its outcome is `unreachable`."""

log = structlog.get_logger()


class ReturnState(StrEnum):
    """States of a checkout that the return page can show."""

    ACTIVE = "active"
    SETTING_UP = "setting_up"
    """The purchase is complete, and the mirror does not have it yet."""
    PENDING = "pending"
    """The payment is processing."""
    FAILED = "failed"
    """The payment failed."""
    ENDED = "ended"
    OPEN = "open"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class ReturnOutcome:
    """Outcome of a checkout; `url` leads back into one that is still open."""

    state: ReturnState
    url: str | None = None


class CheckoutReturns:
    """Finds the outcome of a checkout for its return page."""

    def __init__(
        self,
        database: Transactions,
        clock: Clock,
        sessions: CheckoutSessions,
        *,
        wait_seconds: float,
        wake_ingest: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._sessions = sessions
        self._wait_seconds = wait_seconds
        self._wake_ingest = wake_ingest

    async def find_outcome(self, session_id: str) -> ReturnOutcome:
        """Return the outcome of a session of ours, `unknown` for any other.

        Safe to repeat: hints are not written again for a purchase that is mirrored or on its way.
        """
        async with self._database.transaction() as connection:
            reservation = await reservations.find_by_session(connection, session_id)
        if reservation is None:
            return ReturnOutcome(ReturnState.UNKNOWN)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                session = await self._sessions.find(session_id)
        except (OutcomeUnknownError, TimeoutError):
            return ReturnOutcome(ReturnState.UNREACHABLE)
        except StripeRefusedError as error:
            log.warning("arrival.refused", reservation=str(reservation.id), reason=error.reason)
            return ReturnOutcome(ReturnState.UNREACHABLE)
        return (
            ReturnOutcome(ReturnState.UNKNOWN)
            if session is None
            else await self._outcome_of(reservation, session)
        )

    async def _outcome_of(self, reservation: Reservation, session: CheckoutSession) -> ReturnOutcome:
        status, data = session.status, session.data
        if status is CheckoutStatus.OPEN:
            return ReturnOutcome(ReturnState.OPEN, reservation.url)
        await self._settle(reservation, status)
        if status is CheckoutStatus.FAILED:
            return ReturnOutcome(ReturnState.FAILED)
        if status is CheckoutStatus.EXPIRED:
            return ReturnOutcome(ReturnState.EXPIRED)
        is_mirrored = await self._is_mirrored_in_time(reservation, data)
        if status is CheckoutStatus.PENDING:
            return ReturnOutcome(ReturnState.PENDING)
        if not is_mirrored:
            return ReturnOutcome(ReturnState.SETTING_UP)
        is_running = is_active((subscription_of(data) or {}).get("status"))
        return ReturnOutcome(ReturnState.ACTIVE if is_running else ReturnState.ENDED)

    async def _settle(self, reservation: Reservation, status: CheckoutStatus) -> None:
        """End the reservation of a session that has ended.

        After a failed payment the worker does so, at once: it ends the purchase at Stripe first. A public
        page must not act at Stripe each time it is loaded.
        """
        if reservation.status != OPEN or status is CheckoutStatus.PENDING:
            return
        async with self._database.transaction() as connection:
            if status is CheckoutStatus.FAILED:
                await reservations.look_soon(connection, reservation, self._clock.now())
            else:
                await reservations.close(connection, reservation, ENDINGS[status], self._clock.now())

    async def _is_mirrored_in_time(self, reservation: Reservation, data: Object) -> bool:
        """Return whether the mirror has the subscription's status at Stripe, within `wait_seconds`."""
        if await self._is_mirrored(data):
            return True
        known = [Written(PROVIDER, PROVIDER_ACCOUNT, event_id) for event_id in reservation.hints]
        if await hints.wait(self._database, known, 0.0):
            known = await self._hint(reservation, data)
        await hints.wait(self._database, known, self._wait_seconds)
        return await self._is_mirrored(data)

    async def _is_mirrored(self, data: Object) -> bool:
        subscription = subscription_of(data)
        if subscription is None:
            return False
        async with self._database.transaction() as connection:
            status = await mirror.find_status(connection, subscription["id"])
        return bool(status == subscription["status"])

    async def _hint(self, reservation: Reservation, data: Object) -> list[Written]:
        async with self._database.transaction() as connection:
            now = self._clock.now()
            written = await hints.write(connection, hints_of(data), now)
            await reservations.store_hints(connection, reservation, [hint.event_id for hint in written], now)
        self._wake_ingest()
        return written
