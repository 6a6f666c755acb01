"""People who come back from a checkout: the mirror is brought up to date at once, and what is so is said."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from mainstem.billing import mirror, reservations
from mainstem.billing.accounts import PROVIDER_ACCOUNT
from mainstem.billing.policies import Stage, is_active, stage
from mainstem.billing.purchases import hints_of, subscription_of
from mainstem.billing.reservations import DONE, EXPIRED, OPEN, Reservation
from mainstem.billing.stripe import MISSING, PROVIDER, Object, OutcomeUnknownError, RefusedError, Stripe
from mainstem.common import hints
from mainstem.common.clock import Clock
from mainstem.common.database import Transactions
from mainstem.common.hints import Written

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
        stripe: Stripe,
        *,
        wait_seconds: float,
        wake_ingest: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._stripe = stripe
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
                session = await self._stripe.get_session(session_id)
        except (OutcomeUnknownError, TimeoutError):
            return Arrival(State.UNREACHABLE)
        except RefusedError as error:
            log.warning("arrival.refused", reservation=str(one.id), reason=error.reason)
            return Arrival(State.UNKNOWN if error.code == MISSING else State.UNREACHABLE)
        return await self._say(one, session)

    async def _say(self, one: Reservation, session: Object) -> Arrival:
        found = stage(session)
        if found is Stage.OPEN:
            return Arrival(State.OPEN, one.url)
        if found is not Stage.PENDING and one.status == OPEN:
            async with self._database.transaction() as connection:
                ended = DONE if found is Stage.DONE else EXPIRED
                await reservations.close(connection, one, ended, self._clock.now())
        if found is Stage.EXPIRED:
            return Arrival(State.EXPIRED)
        is_mirrored = await self._mirrored(one, session)
        if found is Stage.PENDING:
            return Arrival(State.PENDING)
        if not is_mirrored:
            return Arrival(State.SETTING_UP)
        is_running = is_active((subscription_of(session) or {}).get("status"))
        return Arrival(State.ACTIVE if is_running else State.ENDED)

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
