"""Deliver (stop 8): load a contact, shape it, send what differs from what was last sent, settle.

Several deliveries run at once, each on its own: none waits for another, none fails for another.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from opentelemetry.trace import SpanKind

from mainstem.common.clock import Clock
from mainstem.common.database.pool import Connections
from mainstem.common.queue.lease import Lease
from mainstem.common.telemetry import metrics, spans
from mainstem.sync.delivery.batching import DeliveryStore
from mainstem.sync.delivery.leases import (
    BUSY_SUSPECT_SECONDS,
    SUSPECT_SECONDS,
    SUSPECT_WAIT_SECONDS,
    DeliveryAttempt,
    DeliveryLeaseLostError,
    confirmation,
)
from mainstem.sync.delivery.slots import Slots
from mainstem.sync.delivery.storage import ClaimedDelivery, SuccessfulDelivery
from mainstem.sync.platforms import difference
from mainstem.sync.platforms.protocol import (
    NotPreparedError,
    Platform,
    PlatformRequest,
    SendError,
    SendUnknownError,
    ShapedContact,
)

LEASE_SECONDS = 60.0
MARGIN_SECONDS = 5.0
"""Lease time that must remain beyond a request's own limit when the request starts."""
AHEAD = 4
"""Deliveries under way per slot: most of the time a delivery reads or settles, and needs no slot."""
STOP_SECONDS = 10.0
LONGEST_ERROR = 300

log = structlog.get_logger()
deliveries_settled = metrics.meter().create_counter(
    "mainstem_deliveries_settled", description="Deliveries to platforms, by how they ended."
)


class Deliverer:
    """Delivers what is due to one platform, as much at once as there are slots."""

    def __init__(
        self,
        database: Connections,
        platform: Platform,
        slots: Slots,
        clock: Clock,
        owner: str,
        *,
        on_due: Callable[[], None],
        sends: bool = True,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._store = DeliveryStore(database, platform.name, clock)
        self._platform = platform
        self._slots = slots
        self._clock = clock
        self._owner = owner
        self._on_due = on_due
        self._sends = sends
        self._lease_seconds = lease_seconds
        self._running: set[asyncio.Task[None]] = set()
        self._suspected_at = -BUSY_SUSPECT_SECONDS

    async def work(self) -> int:
        """Claim as much as can be under way now and start on it; return how much that was.

        Returns before it has arrived: a slow answer keeps nobody else waiting.
        """
        if (free := await self._free()) <= 0:
            return 0
        claimed = await self._start(lambda lease: self._store.claim(lease, free))
        return claimed + await self._suspect(BUSY_SUSPECT_SECONDS if claimed == free else SUSPECT_SECONDS)

    async def _suspect(self, seconds: float) -> int:
        """Deliver what may end its worker, alone, if the others end soon; look every so many seconds."""
        if time.monotonic() < self._suspected_at + seconds:
            return 0
        self._suspected_at = time.monotonic()
        if not await self._store.has_suspect():
            return 0
        await self._wait(SUSPECT_WAIT_SECONDS)
        if self._running:
            self._suspected_at += BUSY_SUSPECT_SECONDS  # the others have time of their own first
            return 0
        claimed = await self._start(self._store.claim_suspect)
        await self._wait()
        return claimed

    async def _wait(self, seconds: float | None = None) -> set[asyncio.Task[None]]:
        """Wait for what is under way, at most so long; return what has not ended."""
        return (await asyncio.wait(self._running, timeout=seconds))[1] if self._running else set()

    async def _start(self, claim: Callable[[Lease], Awaitable[Sequence[ClaimedDelivery]]]) -> int:
        lease = Lease(self._owner, self._lease_seconds)
        claimed_at, started_at = time.monotonic(), time.time_ns()
        claimed = await claim(lease)
        for delivery in claimed:
            attempt = DeliveryAttempt(delivery, claimed_at + lease.seconds, started_at)
            self._running.add(task := asyncio.create_task(self._deliver(attempt)))
            task.add_done_callback(self._running.discard)
            task.add_done_callback(_ended)
        return len(claimed)

    async def finish(self, seconds: float | None = None) -> None:
        """Wait for what is under way, at most so long; the rest is given up, and unknown."""
        for task in (late := await self._wait(seconds)):
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await self._store.finish()

    async def _free(self) -> int:
        """Return how many more may be under way; with all of them under way, wait until half have ended.

        To claim one for each that ends would take more statements than the deliveries themselves.
        """
        while len(self._running) >= (most := AHEAD * self._slots.usable) > 0:
            while len(self._running) > most // 2:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        return most - len(self._running)

    async def _deliver(self, attempt: DeliveryAttempt) -> None:
        claimed = attempt.claimed
        with spans.span_for(
            "deliver",
            claimed.traceparents,
            kind=SpanKind.CONSUMER,
            started_at=attempt.started_at,
            platform=claimed.platform,
            contact_id=str(claimed.contact_id),
        ):
            try:
                await self._attempt(attempt)
            except DeliveryLeaseLostError:
                await self._let_go(attempt)
            except (SendError, SendUnknownError) as error:
                await self._fail(attempt, str(error))
            except Exception as error:
                # A contact that trips us must not be in the way of others, nor be forgotten.
                log.exception("delivery.raised", contact_id=str(claimed.contact_id))
                await self._fail(attempt, type(error).__name__)

    async def _attempt(self, attempt: DeliveryAttempt) -> None:
        claimed = attempt.claimed
        shape = await self._shape(claimed)
        if shape is None or not self._sends:
            await self._succeed(attempt, claimed.base, is_sent=False)
            return
        attempt.notes = shape.notes
        # Whose last outcome is unknown is compared with nothing, and so sent in full.
        base = difference.unknown(claimed.base) if claimed.is_unknown else claimed.base
        differs = difference.compare(shape.tables, base)
        sent = difference.hashed(shape.tables)
        if not self._platform.deletes_vanished:
            sent = difference.kept(sent, differs.vanished)
        requests = self._platform.plan(shape.tables, differs.changed, differs.vanished)
        if requests:
            await self._prepare(attempt)
            await self._intend(attempt, difference.unknown(base, sent))
        for request in requests:
            await self._send(attempt, request)
        await self._succeed(attempt, sent, is_sent=bool(requests))

    async def _shape(self, claimed: ClaimedDelivery) -> ShapedContact | None:
        """Return what the platform is to hold, read after the claim; None if there is no such contact."""
        profile = await self._store.load(claimed)
        return None if profile is None else self._platform.shape(profile)

    async def _intend(self, attempt: DeliveryAttempt, base: difference.SentHashes) -> None:
        """Write down what is about to be sent: whatever happens now, nothing of it is taken for granted."""
        await self._extend_lease(attempt, self._store.intend(attempt.claimed, base))

    async def _prepare(self, attempt: DeliveryAttempt) -> None:
        try:
            await self._platform.prepare()
        except SendError as error:
            attempt.record("prepare", "failure", str(error), 0.0, self._clock.now())
            raise

    async def _send(self, attempt: DeliveryAttempt, request: PlatformRequest) -> None:
        try:
            await self._send_once(attempt, request)
        except NotPreparedError:
            await self._prepare(attempt)
            await self._send_once(attempt, request)

    async def _send_once(self, attempt: DeliveryAttempt, request: PlatformRequest) -> None:
        """Send one request, if the delivery and a slot are ours for as long as that may take."""
        needed = self._platform.timeout_seconds + MARGIN_SECONDS
        if attempt.held_until - time.monotonic() - needed <= self._lease_seconds / 2:
            # A contact with many rows under a slow platform takes longer than a lease.
            await self._extend_lease(attempt, self._store.renew(attempt.claimed))
        left = attempt.held_until - time.monotonic() - needed
        if left <= 0:
            raise DeliveryLeaseLostError
        try:
            slot = await self._slots.borrow(left)
        except TimeoutError:
            raise DeliveryLeaseLostError from None
        try:
            await self._recorded(attempt, request)
        except SendError:
            slot.give_back()
            raise
        except BaseException:
            # Nobody knows whether the request has ended there; it keeps its slot for a while longer.
            slot.give_back_after(MARGIN_SECONDS)
            raise
        slot.give_back()

    async def _extend_lease(self, attempt: DeliveryAttempt, renewal: Awaitable[bool]) -> None:
        """Count the lease from now, if `renewal` returns that the delivery is still held."""
        renewed_at = time.monotonic()
        if not await renewal:
            raise DeliveryLeaseLostError
        attempt.held_until = renewed_at + attempt.claimed.lease.seconds

    async def _recorded(self, attempt: DeliveryAttempt, request: PlatformRequest) -> None:
        started_at = time.monotonic()
        outcome, text = "unknown", None
        try:
            await self._platform.send(request)
            outcome = "success"
        except SendError as error:
            outcome, text = "failure", str(error)
            raise
        except Exception as error:
            text = str(error) if isinstance(error, SendUnknownError) else type(error).__name__
            raise
        finally:
            seconds = time.monotonic() - started_at
            attempt.record(request.kind, outcome, text, seconds, self._clock.now())

    async def _succeed(self, attempt: DeliveryAttempt, sent: difference.SentHashes, *, is_sent: bool) -> None:
        confirm_at = confirmation(attempt.claimed, self._clock.now())
        # What is confirmed later goes in full once more.
        base = sent if confirm_at is None else difference.unknown(sent)
        is_due = await self._store.succeed(
            SuccessfulDelivery(attempt.claimed, base, confirm_at, attempt.log_entries)
        )
        self._say(attempt, "delivery.succeeded", is_held=is_due is not None, is_sent=is_sent)
        if is_due:
            self._on_due()

    async def _fail(self, attempt: DeliveryAttempt, error: str) -> None:
        text, entries = error[:LONGEST_ERROR], attempt.log_entries
        is_unknown = any(entry.outcome == "unknown" for entry in entries)
        is_held = await self._store.fail(attempt.claimed, text, entries, is_unknown=is_unknown)
        spans.mark_failed()
        self._say(attempt, "delivery.failed", is_held=is_held, error=text, is_unknown=is_unknown)

    async def _let_go(self, attempt: DeliveryAttempt) -> None:
        await self._store.give_back(attempt.claimed, attempt.log_entries)
        self._say(attempt, "delivery.given_back")

    def _say(self, attempt: DeliveryAttempt, event: str, *, is_held: bool = True, **fields: Any) -> None:
        """Log and count how a delivery ended; one that was settled by another holder meanwhile did not."""
        claimed = attempt.claimed
        name = event if is_held else "delivery.lease_lost"
        deliveries_settled.add(1, {"platform": claimed.platform, "outcome": name.partition(".")[2]})
        log.info(
            name,
            platform=claimed.platform,
            contact_id=str(claimed.contact_id),
            failures=claimed.failures,
            requests=[f"{entry.request}:{entry.outcome}" for entry in attempt.log_entries],
            **attempt.notes,
            **fields,
        )


def _ended(task: asyncio.Task[None]) -> None:
    """Say that a delivery could not even be settled: its lease runs out, and it is taken for unknown."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("delivery.unsettled", exc_info=error)


@asynccontextmanager
async def open_deliverer(deliverer: Deliverer) -> AsyncIterator[Deliverer]:
    """Let what is under way end before what it needs is closed."""
    try:
        yield deliverer
    finally:
        await deliverer.finish(STOP_SECONDS)
