"""Runner of operations: each is stored, executed once a key, and followed by a hint in the same commit."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import structlog

from mainstem.billing.accounts.storage import PROVIDER_ACCOUNT
from mainstem.billing.operations import storage as queue
from mainstem.billing.operations.storage import Operation, OperationRequest
from mainstem.billing.policies.cancellations import has_ended, is_newer, undoing
from mainstem.billing.stripe.client import PROVIDER, Object, OutcomeUnknownError, Stripe, is_forgotten
from mainstem.common.clock import Clock
from mainstem.common.database.pool import Transactions
from mainstem.common.errors import BadGatewayError, ConflictError, MainstemError, UnavailableError
from mainstem.common.queue import hints
from mainstem.common.queue.hints import Hint, Written
from mainstem.common.queue.lease import Lease
from mainstem.common.telemetry import metrics, spans

STOP_CANCELLATION = "stop_cancellation"

LEASE_SECONDS = 30.0
POLL_SECONDS = 0.1
LIMIT = 10
TOO_OLD = "too old to repeat: Stripe has forgotten its key"
ENDED = "the subscription has ended; buy a new one"
OVERTAKEN = "the subscription was cancelled again since; send the request again to take that back too"
SCHEDULED = "a subscription schedule ends the subscription; change or release the schedule at Stripe"
STILL_SET = "Stripe took the change, yet the cancellation is still set; look at the subscription at Stripe"

log = structlog.get_logger()
settled = metrics.meter().create_counter(
    "mainstem_operations_settled", description="Operations at providers that were done, or refused for good."
)


class OperationRunner:
    """Runs operations for a caller who waits, and repeats them for the worker."""

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
        """Change a subscription once; return the hints that were written.

        Raises:
            StripeRefusedError: Stripe refused a request.
            UnavailableError: the outcome is unknown; the worker continues.
        """
        request = OperationRequest(account, kind, "subscription", subscription, spans.traceparent())
        try:
            async with asyncio.timeout(seconds):
                return await self._perform(request)
        except TimeoutError:
            raise UnavailableError("it is still being done", headers={"Retry-After": "2"}) from None

    async def work(self) -> int:
        """Lease due operations, repeat each, and return their number."""
        lease = Lease(self._owner, LEASE_SECONDS)
        async with self._database.transaction() as connection:
            claimed = await queue.claim_due(connection, lease, self._clock.now(), LIMIT)
        await asyncio.gather(*(self._repeat(operation, lease) for operation in claimed))
        return len(claimed)

    async def _perform(self, request: OperationRequest) -> list[Written]:
        while True:
            lease = Lease(self._owner, LEASE_SECONDS)
            async with self._database.transaction() as connection:
                operation, is_ours = await queue.claim(connection, request, lease, self._clock.now())
            if is_ours:
                return await self._act(operation, lease)
            if await self._is_done(operation):
                return []

    async def _is_done(self, operation: Operation) -> bool:
        """Wait for another caller's operation; return whether it undid this caller's cancellation too.

        Its read-back may have come before that cancellation.
        """
        while operation.status == "wanted":
            await asyncio.sleep(POLL_SECONDS)
            async with self._database.transaction() as connection:
                operation = await queue.get(connection, operation.id)
        return (
            operation.status == "done"
            and undoing(await self._stripe.get_subscription(operation.object_id)) is None
        )

    async def _repeat(self, operation: Operation, lease: Lease) -> None:
        with spans.span("operate", parent=operation.traceparent, operation=str(operation.id)):
            try:
                if is_forgotten(operation.wanted_at, self._clock.now()):
                    await self._end(operation, lease, error=TOO_OLD, subscription=None)
                else:
                    await self._act(operation, lease, is_repeated=True)
            except Exception as error:  # noqa: BLE001 -- it must not stop the other operations
                log.warning("operation.failed", operation=str(operation.id), error=type(error).__name__)

    async def _act(self, operation: Operation, lease: Lease, *, is_repeated: bool = False) -> list[Written]:
        subscription = None
        try:
            subscription = await self._stripe.get_subscription(operation.object_id)
            if is_repeated and _is_overtaken(operation, subscription):
                raise ConflictError(OVERTAKEN)
            await self._undo(operation, subscription)
        except OutcomeUnknownError as error:
            async with self._database.transaction() as connection:
                now = self._clock.now()
                await queue.release(connection, lease, operation, error.reason, now, new_key=error.is_kept)
            raise
        except MainstemError as error:
            await self._end(operation, lease, error=error.detail, subscription=subscription)
            raise
        return await self._end(operation, lease, error=None, subscription=subscription)

    async def _undo(self, operation: Operation, first: Object) -> None:
        """Take each signal of a cancellation back and read the subscription again until none is left.

        Raises:
            ConflictError: it has ended, was cancelled again, or is ended by a schedule.
            BadGatewayError: Stripe took the changes, and a signal is still there.
        """
        subscription, tried = first, set[str]()
        while True:
            if has_ended(subscription):
                raise ConflictError(ENDED)
            if is_newer(subscription, first):
                raise ConflictError(OVERTAKEN)
            if (changes := undoing(subscription)) is None:
                await self._check_schedule(subscription)
                return
            if not tried.isdisjoint(changes):
                raise BadGatewayError(STILL_SET)
            tried.update(changes)
            await self._stripe.update_subscription(operation.object_id, changes, operation.key(*changes))
            subscription = await self._stripe.get_subscription(operation.object_id)

    async def _check_schedule(self, subscription: Object) -> None:
        """Refuse a subscription that a schedule ends; the subscription itself has no signal of that."""
        if (schedule := subscription.get("schedule")) is None:
            return
        if (await self._stripe.get_schedule(schedule))["end_behavior"] == "cancel":
            raise ConflictError(SCHEDULED)

    async def _end(
        self, operation: Operation, lease: Lease, *, error: str | None, subscription: Object | None
    ) -> list[Written]:
        """Settle an operation; in the same commit a hint says that the subscription may have changed."""
        due_hints = []
        if subscription is not None:
            livemode = bool(subscription["livemode"])
            due_hints.append(
                Hint(PROVIDER, PROVIDER_ACCOUNT, operation.object_type, operation.object_id, livemode)
            )
        async with self._database.transaction() as connection:
            now = self._clock.now()
            await queue.end(connection, lease, operation, error=error, now=now)
            written = await hints.write(connection, due_hints, now)
        settled.add(1, {"kind": operation.kind, "outcome": "done" if error is None else "failed"})
        if written:
            self._wake_ingest()
        return written


def _is_overtaken(operation: Operation, subscription: Object) -> bool:
    """Return whether a cancellation is newer than the request to take one back."""
    return undoing(subscription) is not None and (
        (subscription["canceled_at"] or 0) > operation.wanted_at.timestamp()
    )
