"""What billing changes at Stripe itself: written down, done once a key, and then hinted at."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import structlog

from mainstem.billing import queue
from mainstem.billing.accounts import PROVIDER_ACCOUNT
from mainstem.billing.queue import Operation, Wish
from mainstem.billing.stripe import PROVIDER, Object, OutcomeUnknownError, RefusedError, Stripe, is_forgotten
from mainstem.common import hints, telemetry
from mainstem.common.clock import Clock
from mainstem.common.database import Transactions
from mainstem.common.errors import BadGatewayError, UnavailableError
from mainstem.common.hints import Hint, Written
from mainstem.common.lease import Lease

STOP_CANCELLATION = "stop_cancellation"
CHANGES: Mapping[str, Mapping[str, Any]] = {STOP_CANCELLATION: {"cancel_at_period_end": False}}
"""What each kind of operation changes of a subscription."""

LEASE_SECONDS = 30.0
POLL_SECONDS = 0.1
LIMIT = 10
TOO_OLD = "too old to repeat: Stripe has forgotten its key"
OVERTAKEN = "overtaken: it was cancelled anew since"

log = structlog.get_logger()
settled = telemetry.meter().create_counter(
    "mainstem_operations_settled", description="Operations at providers that were done, or refused for good."
)


class Operations:
    """Does things at Stripe, for a caller who waits and for the worker."""

    def __init__(
        self,
        database: Transactions,
        clock: Clock,
        stripe: Stripe,
        *,
        owner: str,
        wake_ingest: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._stripe = stripe
        self._owner = owner
        self._wake_ingest = wake_ingest

    async def perform(self, account: UUID, kind: str, subscription: str, seconds: float) -> list[Written]:
        """Do something to a subscription, once; return the hints that tell of it.

        Raises:
            RefusedError: Stripe will not.
            UnavailableError: whether it was done is unknown; the worker goes on with it.
        """
        wish = Wish(account, kind, "subscription", subscription, telemetry.traceparent())
        try:
            async with asyncio.timeout(seconds):
                return await self._perform(wish)
        except TimeoutError:
            raise UnavailableError("it is still being done", headers={"Retry-After": "2"}) from None

    async def work(self) -> int:
        """Claim operations whose outcome is unknown, and find it out; return how many."""
        lease = Lease(self._owner, LEASE_SECONDS)
        async with self._database.transaction() as connection:
            claimed = await queue.claim_due(connection, lease, self._clock.now(), LIMIT)
        await asyncio.gather(*(self._repeat(one, lease) for one in claimed))
        return len(claimed)

    async def _perform(self, wish: Wish) -> list[Written]:
        lease = Lease(self._owner, LEASE_SECONDS)
        async with self._database.transaction() as connection:
            operation, is_ours = await queue.claim(connection, wish, lease, self._clock.now())
        if is_ours:
            return await self._act(operation, lease)
        while operation.status == "wanted":
            # Somebody else is at it; theirs is as good as ours.
            await asyncio.sleep(POLL_SECONDS)
            async with self._database.transaction() as connection:
                operation = await queue.get(connection, operation.id)
        if operation.status == "failed":
            raise BadGatewayError("Stripe refused the request")
        return []

    async def _repeat(self, one: Operation, lease: Lease) -> None:
        with telemetry.span("operate", parent=one.traceparent, operation=str(one.id)):
            try:
                if is_forgotten(one.created_at, self._clock.now()):
                    await self._end(one, lease, error=TOO_OLD, livemode=None)
                else:
                    await self._act(one, lease, is_repeated=True)
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is in no other operation's way
                log.warning("operation.failed", operation=str(one.id), error=type(error).__name__)

    async def _act(self, one: Operation, lease: Lease, *, is_repeated: bool = False) -> list[Written]:
        try:
            if is_repeated and await self._is_overtaken(one):
                return await self._end(one, lease, error=OVERTAKEN, livemode=None)
            changed = await self._stripe.update_subscription(one.object_id, CHANGES[one.kind], one.key)
        except RefusedError as error:
            await self._end(one, lease, error=error.reason, livemode=None)
            raise
        except OutcomeUnknownError as error:
            async with self._database.transaction() as connection:
                now = self._clock.now()
                await queue.release(connection, lease, one, error.reason, now, new_key=error.is_kept)
            raise
        return await self._end(one, lease, error=None, livemode=_livemode(changed))

    async def _is_overtaken(self, one: Operation) -> bool:
        """Return whether somebody cancelled after this was wanted: to take that back is nobody's wish."""
        subscription = await self._stripe.get_subscription(one.object_id)
        return (subscription["canceled_at"] or 0) > one.created_at.timestamp()

    async def _end(
        self, one: Operation, lease: Lease, *, error: str | None, livemode: bool | None
    ) -> list[Written]:
        """Settle an operation; one that was done is hinted at in the same commit."""
        told = []
        if livemode is not None:
            told.append(Hint(PROVIDER, PROVIDER_ACCOUNT, one.object_type, one.object_id, livemode))
        async with self._database.transaction() as connection:
            now = self._clock.now()
            await queue.end(connection, lease, one, error=error, now=now)
            written = await hints.write(connection, told, now)
        settled.add(1, {"kind": one.kind, "outcome": "done" if error is None else "failed"})
        if written:
            self._wake_ingest()
        return written


def _livemode(changed: Object) -> bool:
    return bool(changed["livemode"])
