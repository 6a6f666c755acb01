"""Recording, stop 2: one writer task a process stores what waits, many events in one commit.

There is no timer: whatever came while the last commit ran goes into the next one, so that an event
that comes alone is stored at once.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from mainstem.common.clock import Clock
from mainstem.common.database.faults import is_away, is_data_error
from mainstem.common.database.pool import Statements
from mainstem.common.errors import BadRequestError, MainstemError, UnavailableError
from mainstem.common.queue.inbox import NewEvent, insert
from mainstem.common.telemetry import metrics, spans

GROUP = 500
"""Maximum number of events in one commit."""
WAITING_BYTES = 64 * 1024 * 1024
"""Maximum number of bytes that wait for a commit; an event beyond it is refused, and the sender retries."""
PATIENCE_SECONDS = 8.0
"""A commit that takes longer fails those that wait for the next one; the pool ends any after ten."""
RETRY_AFTER_SECONDS = 5

log = structlog.get_logger()
recorded = metrics.meter().create_counter(
    "mainstem_events_recorded", description="Events stored, duplicates included."
)


@dataclass(frozen=True, slots=True)
class _Waiting:
    event: NewEvent
    stored: asyncio.Future[None]


class Recorder:
    """Stores events; `record` returns when its event is committed."""

    def __init__(
        self,
        database: Statements,
        clock: Clock,
        wake: Callable[[], None],
        configured: Collection[str] = (),
    ) -> None:
        self._database = database
        self._configured = configured
        self._clock = clock
        self._wake = wake
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._waiting_bytes = 0

    async def record(self, event: NewEvent) -> None:
        """Store an event, once. A caller that is cancelled leaves the others' commit alone.

        Raises:
            BadRequestError: the event holds something that cannot be stored.
            UnavailableError: it could not be stored now.
        """
        if self._waiting_bytes + len(event.body) > WAITING_BYTES:
            raise _unavailable("too much is waiting to be stored")
        waiting = _Waiting(event, asyncio.get_running_loop().create_future())
        self._waiting_bytes += len(event.body)
        self._queue.put_nowait(waiting)
        await waiting.stored

    async def run(self) -> None:
        """Store what comes, until cancelled; whoever waits then is told to come again."""
        group: Sequence[_Waiting] = ()
        try:
            while True:
                group, started_at = await self._next_group(), time.monotonic()
                await self._store_group(group)
                if time.monotonic() - started_at >= PATIENCE_SECONDS:
                    # Postgres hangs: who came meanwhile has waited as long, and must not wait once more.
                    group = [*group, *(late := self._take(self._queue.qsize()))]
                    _settle(late, _unavailable("the event was not stored in time"))
                self._waiting_bytes -= sum(len(waiting.event.body) for waiting in group)
        finally:
            _settle([*group, *self._take(self._queue.qsize())], _unavailable("the process is stopping"))

    async def _next_group(self) -> Sequence[_Waiting]:
        first = await self._queue.get()
        return [first, *self._take(min(GROUP - 1, self._queue.qsize()))]

    def _take(self, number: int) -> Sequence[_Waiting]:
        return [self._queue.get_nowait() for _ in range(number)]

    async def _store_group(self, group: Sequence[_Waiting]) -> None:
        """Store the group in one commit; if one of its events will not go in, all but that one.

        Halves are tried, and halves of those: few commits for one event at fault among hundreds.
        """
        error = await self._store(group)
        if error is not None and len(group) > 1 and not is_away(error):
            half = len(group) // 2
            await self._store_group(group[:half])
            await self._store_group(group[half:])
        else:
            _settle(group, None if error is None else _answer(error))

    async def _store(self, group: Sequence[_Waiting]) -> Exception | None:
        """Commit the events; return why not, if not."""
        try:
            to_do = await self._commit([waiting.event for waiting in group])
        except Exception as error:  # noqa: BLE001 -- whatever went wrong, nothing is stored and the writer lives on
            if is_data_error(error):
                log.warning("event.refused", error=type(error).__name__, events=len(group))
            else:
                log.warning("events.record_failed", error=type(error).__name__, events=len(group))
            return error
        recorded.add(len(group))
        if to_do:
            self._wake()
        return None

    async def _commit(self, events: Sequence[NewEvent]) -> int:
        """Store the events; return how many there are to work on."""
        with spans.span_for("record", (event.traceparent for event in events), events=len(events)):
            async with self._database.statement() as connection:
                return await insert(connection, events, self._clock.now(), self._configured)


@asynccontextmanager
async def open_recorder(
    database: Statements, clock: Clock, wake: Callable[[], None], configured: Collection[str] = ()
) -> AsyncIterator[Recorder]:
    """Run a recorder; `wake` is called after each commit that left something to do.

    `configured` names the accounts that have settings; an event of any other one is a connected account's.
    """
    recorder = Recorder(database, clock, wake, configured)
    writer = asyncio.create_task(recorder.run(), name="recorder")
    try:
        yield recorder
    finally:
        writer.cancel()
        with suppress(asyncio.CancelledError):
            await writer


def _settle(group: Sequence[_Waiting], error: MainstemError | None) -> None:
    for waiting in group:
        if waiting.stored.done():
            continue
        if error is None:
            waiting.stored.set_result(None)
        else:
            waiting.stored.set_exception(error)


def _answer(error: Exception) -> MainstemError:
    if is_data_error(error):
        return BadRequestError("the event holds something that cannot be stored")
    return _unavailable("the event could not be stored now")


def _unavailable(detail: str) -> UnavailableError:
    return UnavailableError(detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
