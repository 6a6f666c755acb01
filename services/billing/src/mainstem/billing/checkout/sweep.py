"""Sweeping reservations: what nobody came back for is looked up at Stripe and settled."""

import asyncio
from collections.abc import Callable

import structlog

from mainstem.billing.checkout import storage as reservations
from mainstem.billing.checkout.opening import LEASE_SECONDS, Checkout
from mainstem.billing.checkout.purchases import hints_of
from mainstem.billing.checkout.sessions import Seen, Sessions
from mainstem.billing.checkout.storage import DONE, ENDINGS, EXPIRED, OPEN, Reservation
from mainstem.billing.stripe.client import Object, OutcomeUnknownError
from mainstem.billing.stripe.refusals import RefusedError
from mainstem.common.clock import Clock
from mainstem.common.database.pool import Transactions
from mainstem.common.queue import hints
from mainstem.common.queue.lease import Lease

LIMIT = 10

log = structlog.get_logger()


class Sweep:
    """Settles reservations that are stuck, or whose session is over."""

    def __init__(
        self,
        database: Transactions,
        clock: Clock,
        sessions: Sessions,
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
        """Claim reservations that are due, and find out what became of them; return how many."""
        lease = Lease(self._owner, LEASE_SECONDS)
        async with self._database.transaction() as connection:
            claimed = await reservations.claim_due(connection, lease, self._clock.now(), LIMIT)
        await asyncio.gather(*(self._settle(one, lease) for one in claimed))
        return len(claimed)

    async def _settle(self, one: Reservation, lease: Lease) -> None:
        try:
            if one.status == OPEN:
                await self._settle_session(one, lease)
            elif one.request is None:
                # Nothing was asked for under its key.
                await self._end(one, lease, EXPIRED)
            else:
                await self._checkout.resume(one, one.request, lease)
        except (RefusedError, OutcomeUnknownError) as error:
            log.warning("reservation.sweep_failed", reservation=str(one.id), reason=error.reason)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is in no other reservation's way
            log.warning("reservation.sweep_failed", reservation=str(one.id), reason=type(error).__name__)

    async def _look(self, one: Reservation, lease: Lease) -> Seen | None:
        """Return the session as it is settled; after a failure the next look backs off."""
        try:
            return await self._sessions.settle(one.session_id or "")
        except (RefusedError, OutcomeUnknownError) as error:
            async with self._database.transaction() as connection:
                await reservations.release(connection, lease, one, error.reason, self._clock.now())
            raise

    async def _settle_session(self, one: Reservation, lease: Lease) -> None:
        seen = await self._look(one, lease)
        if seen is None:
            await self._end(one, lease, EXPIRED)
            return
        status = ENDINGS.get(seen.stage)
        if status is not None:
            await self._end(one, lease, status, seen.session)
            return
        async with self._database.transaction() as connection:
            now = self._clock.now()
            due_at = reservations.next_look(seen.session, one.requested_at or now, now)
            await reservations.look_later(connection, lease, one, due_at, now)

    async def _end(self, one: Reservation, lease: Lease, status: str, session: Object | None = None) -> None:
        """Free the place; a purchase is hinted at in the same commit, unless the return page hinted at it."""
        is_known = status == EXPIRED or (status == DONE and one.hints)
        told = [] if session is None or is_known else hints_of(session)
        async with self._database.transaction() as connection:
            now = self._clock.now()
            await reservations.end(connection, lease, one, status, now)
            await hints.write(connection, told, now)
        if told:
            self._wake_ingest()
