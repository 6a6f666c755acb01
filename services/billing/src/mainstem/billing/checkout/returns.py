"""People who come back from a checkout: the mirror is brought up to date at once, and what is so is said."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from mainstem.billing import mirror
from mainstem.billing.accounts.storage import PROVIDER_ACCOUNT
from mainstem.billing.checkout import storage as reservations
from mainstem.billing.checkout.purchases import hints_of, subscription_of
from mainstem.billing.checkout.sessions import Seen, Sessions
from mainstem.billing.checkout.stages import Stage
from mainstem.billing.checkout.storage import ENDINGS, OPEN, Reservation
from mainstem.billing.policies.statuses import is_active
from mainstem.billing.stripe.client import PROVIDER, Object, OutcomeUnknownError
from mainstem.billing.stripe.refusals import RefusedError
from mainstem.common.clock import Clock
from mainstem.common.database.pool import Transactions
from mainstem.common.queue import hints
from mainstem.common.queue.hints import Written

LOOK_SECONDS = 6.0
"""How long somebody waits for Stripe's word, before they are told that we do not know."""

log = structlog.get_logger()


class State(StrEnum):
    """What can be said to somebody who comes back."""

    ACTIVE = "active"
    SETTING_UP = "setting_up"
    """It is bought, and we have not heard of it in time."""
    PENDING = "pending"
    """The payment is not there yet."""
    FAILED = "failed"
    """The payment came to nothing."""
    ENDED = "ended"
    OPEN = "open"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is so; `url` leads back into a checkout that is still open."""

    state: State
    url: str | None = None


class Arrivals:
    """Receives people who come back."""

    def __init__(
        self,
        database: Transactions,
        clock: Clock,
        sessions: Sessions,
        *,
        wait_seconds: float,
        wake_ingest: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._sessions = sessions
        self._wait_seconds = wait_seconds
        self._wake_ingest = wake_ingest

    async def receive(self, session_id: str) -> Arrival:
        """Say what became of a session of ours.

        Safe to repeat: what the mirror knows is not asked for again.
        """
        async with self._database.transaction() as connection:
            one = await reservations.find_by_session(connection, session_id)
        if one is None:
            return Arrival(State.UNKNOWN)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                seen = await self._sessions.find(session_id)
        except (OutcomeUnknownError, TimeoutError):
            return Arrival(State.UNREACHABLE)
        except RefusedError as error:
            log.warning("arrival.refused", reservation=str(one.id), reason=error.reason)
            return Arrival(State.UNREACHABLE)
        return Arrival(State.UNKNOWN) if seen is None else await self._say(one, seen)

    async def _say(self, one: Reservation, seen: Seen) -> Arrival:
        found, session = seen.stage, seen.session
        if found is Stage.OPEN:
            return Arrival(State.OPEN, one.url)
        await self._settle(one, found)
        if found is Stage.FAILED:
            return Arrival(State.FAILED)
        if found is Stage.EXPIRED:
            return Arrival(State.EXPIRED)
        is_mirrored = await self._mirrored(one, session)
        if found is Stage.PENDING:
            return Arrival(State.PENDING)
        if not is_mirrored:
            return Arrival(State.SETTING_UP)
        is_running = is_active((subscription_of(session) or {}).get("status"))
        return Arrival(State.ACTIVE if is_running else State.ENDED)

    async def _settle(self, one: Reservation, found: Stage) -> None:
        """Free the place of a session that is over.

        That of a failed payment is left to the worker, at once: it ends the purchase at Stripe first. A
        public page must not act at Stripe each time it is loaded.
        """
        if one.status != OPEN or found is Stage.PENDING:
            return
        async with self._database.transaction() as connection:
            if found is Stage.FAILED:
                await reservations.look_soon(connection, one, self._clock.now())
            else:
                await reservations.close(connection, one, ENDINGS[found], self._clock.now())

    async def _mirrored(self, one: Reservation, session: Object) -> bool:
        """Return whether the mirror says what Stripe says, waiting for it a while."""
        if await self._is_mirrored(session):
            return True
        known = [Written(PROVIDER, PROVIDER_ACCOUNT, event_id) for event_id in one.hints]
        if await hints.wait(self._database, known, 0.0):
            known = await self._hint(one, session)
        await hints.wait(self._database, known, self._wait_seconds)
        return await self._is_mirrored(session)

    async def _is_mirrored(self, session: Object) -> bool:
        subscription = subscription_of(session)
        if subscription is None:
            return False
        async with self._database.transaction() as connection:
            status = await mirror.find_status(connection, subscription["id"])
        return bool(status == subscription["status"])

    async def _hint(self, one: Reservation, session: Object) -> list[Written]:
        async with self._database.transaction() as connection:
            now = self._clock.now()
            written = await hints.write(connection, hints_of(session), now)
            await reservations.hinted(connection, one, [hint.event_id for hint in written], now)
        self._wake_ingest()
        return written
