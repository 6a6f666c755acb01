"""Sweep of live reservations that are due: each is read at Stripe and settled."""

import asyncio
from collections.abc import Callable

import structlog

from mainstem.billing.checkout import storage as reservations
from mainstem.billing.checkout.creation import LEASE_SECONDS, Checkout
from mainstem.billing.checkout.purchases import hints_of
from mainstem.billing.checkout.sessions import CheckoutSession, CheckoutSessions
from mainstem.billing.checkout.storage import DONE, ENDINGS, EXPIRED, OPEN, Reservation
from mainstem.billing.stripe.client import Object, OutcomeUnknownError
from mainstem.billing.stripe.refusals import StripeRefusedError
from mainstem.common.clock import Clock
from mainstem.common.database.pool import Transactions
from mainstem.common.queue import hints
from mainstem.common.queue.lease import Lease

LIMIT = 10

log = structlog.get_logger()


class ReservationSweep:
    """Settles reservations that are stuck, or whose session has ended."""

    def __init__(
        self,
        database: Transactions,
        clock: Clock,
        sessions: CheckoutSessions,
        checkout: Checkout,
        *,
        owner: str,
        wake_ingest: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._sessions = sessions
        self._checkout = checkout
        self._owner = owner
        self._wake_ingest = wake_ingest

    async def work(self) -> int:
        """Lease due reservations and settle each; return their number."""
        lease = Lease(self._owner, LEASE_SECONDS)
        async with self._database.transaction() as connection:
            claimed = await reservations.claim_due(connection, lease, self._clock.now(), LIMIT)
        await asyncio.gather(*(self._settle(reservation, lease) for reservation in claimed))
        return len(claimed)

    async def _settle(self, reservation: Reservation, lease: Lease) -> None:
        try:
            if reservation.status == OPEN:
                await self._settle_session(reservation, lease)
            elif reservation.request is None:
                # No request was sent under its key.
                await self._end(reservation, lease, EXPIRED)
            else:
                await self._checkout.resume(reservation, reservation.request, lease)
        except (StripeRefusedError, OutcomeUnknownError) as error:
            log.warning("reservation.sweep_failed", reservation=str(reservation.id), reason=error.reason)
        except Exception as error:  # noqa: BLE001 -- it must not stop the other reservations
            log.warning(
                "reservation.sweep_failed", reservation=str(reservation.id), reason=type(error).__name__
            )

    async def _read(self, reservation: Reservation, lease: Lease) -> CheckoutSession | None:
        """Return the settled session; after a failure release the reservation with backoff."""
        try:
            return await self._sessions.settle(reservation.session_id or "")
        except (StripeRefusedError, OutcomeUnknownError) as error:
            async with self._database.transaction() as connection:
                await reservations.release(connection, lease, reservation, error.reason, self._clock.now())
            raise

    async def _settle_session(self, reservation: Reservation, lease: Lease) -> None:
        session = await self._read(reservation, lease)
        if session is None:
            await self._end(reservation, lease, EXPIRED)
            return
        ending = ENDINGS.get(session.status)
        if ending is not None:
            await self._end(reservation, lease, ending, session.data)
            return
        async with self._database.transaction() as connection:
            now = self._clock.now()
            due_at = reservations.next_look(session.data, reservation.requested_at or now, now)
            await reservations.look_later(connection, lease, reservation, due_at, now)

    async def _end(
        self, reservation: Reservation, lease: Lease, status: str, session: Object | None = None
    ) -> None:
        """End a reservation; hints go into the same commit unless the return page wrote them."""
        is_known = status == EXPIRED or (status == DONE and reservation.hints)
        due_hints = [] if session is None or is_known else hints_of(session)
        async with self._database.transaction() as connection:
            now = self._clock.now()
            await reservations.end(connection, lease, reservation, status, now)
            await hints.write(connection, due_hints, now)
        if due_hints:
            self._wake_ingest()
