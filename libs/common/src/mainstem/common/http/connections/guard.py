"""Guarded HTTP/1.1 connections: time limits, bounds on connections, and refusals in their order."""

import asyncio
import contextvars
from functools import partial
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from mainstem.common.http.connections import refusals
from mainstem.common.http.connections.limits import ConnectionLimiter, Limits
from mainstem.common.http.connections.refusals import Refusal, RefusalLog
from mainstem.common.http.connections.strict import BODY, CLOSING, HEAD, LINGER_BYTES, StrictProtocol

LINGER_SECONDS = 1.0
"""For a client that still sends after its answer, before the connection is closed."""


class GuardedProtocol(StrictProtocol):
    """One client connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Limits,
        limiter: ConnectionLimiter,
        refusal_log: RefusalLog,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._limiter = limiter
        self._refusal_log = refusal_log
        self._answering: RequestResponseCycle | None = None
        self._final_response = b""
        self._context = contextvars.copy_context()
        self._stalled: asyncio.TimerHandle | None = None

    @property
    def is_answering(self) -> bool:
        """Whether a request is being answered."""
        return self._answering is not None and not self._answering.response_complete

    @property
    def has_received_request(self) -> bool:
        """Whether a request has come."""
        return self.cycle is not None

    @property
    def awaits_body(self) -> bool:
        """Whether the body of a request has not ended."""
        return self._phase is BODY

    def drop(self) -> None:
        """Close the connection at once."""
        self._phase = CLOSING
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Count the connection, and expect its first request."""
        super().connection_made(transport)
        if self._limiter.admit(self, self.client[0] if self.client else ""):
            self._expect(self._limits.head_seconds)
        else:
            self._refuse(refusals.CROWDED)
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._phase = CLOSING
        self._limiter.leave(self)
        self._unset_keepalive_if_required()
        self._unset_stalled()
        super().connection_lost(exc)
        # uvicorn tells the newest request alone that its client has left.
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()
        self.pipeline.clear()

    def data_received(self, data: bytes) -> None:
        """Parse what came. Each part of a request has its own time limit; blank lines extend none."""
        if self._phase is CLOSING:
            self._discard(data)
            return
        phase, cycle = self._phase, self.cycle
        self._parse(data)
        if self._phase is not phase or self.cycle is not cycle:
            self._watch()

    # Bounds and times

    def _expect(self, seconds: float) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self._expire)

    def _watch(self) -> None:
        """Set the time limit of the phase; while a request is answered and no other begins, there is none."""
        if self._phase is CLOSING:
            return
        if self._phase is HEAD:
            self._expect(self._limits.head_seconds)
        elif self._phase is BODY:
            self._expect(self._limits.body_seconds)
        elif self.is_answering:
            self._unset_keepalive_if_required()
        else:
            self._expect(self._limits.idle_seconds)

    def _expire(self) -> None:
        if self._phase in (HEAD, BODY) and self.flow.read_paused:
            # Nothing was read while an answer is due, or while the app did not take the body: it is no delay
            # of the client's.
            self._watch()
        elif self._phase is HEAD:
            self._refuse(refusals.SLOW_HEAD)
        elif self._phase is BODY:
            self._refuse(refusals.SLOW_BODY)
        elif not self.is_answering:
            self._close()

    # Answers

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        # A pipelined request starts inside the one before it, and would inherit what that bound: log fields
        # of another client, and its span.
        self._context.copy().run(super()._start_asgi_task, cycle, app)

    def on_response_complete(self) -> None:
        """Go on with the next request; one whose body is still on its way has a moment to finish it."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._cut_off_later()
            return
        self.flow.resume_reading()
        if self._phase is BODY and self.cycle.response_complete:
            self._expect(LINGER_SECONDS)
        elif self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._phase is CLOSING:
            self.transport.write(self._final_response)
            self._linger()
        else:
            self._watch()

    def pause_writing(self) -> None:
        """Bound how long the client may leave its answer unread."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self._limits.write_seconds, self._drop_stalled)

    def resume_writing(self) -> None:
        """Go on writing."""
        if not self.transport.is_closing():
            self._unset_stalled()
        super().resume_writing()

    def eof_received(self) -> None:
        """Let the transport close itself, and cut off a client that does not read what is left."""
        self._cut_off_later()

    def _drop_stalled(self) -> None:
        self._refusal_log.add(refusals.UNREAD)
        self.drop()

    def _unset_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what cannot be served, after the answers that are still due, and close."""
        self._refusal_log.add(refusal)
        broken = self.cycle if self._phase is BODY else None
        if broken is not None:
            self._forget(broken)
        if self.is_answering:
            self._end_after_answers(refusal)
            return
        if broken is None or not broken.response_started:
            self.transport.write(refusals.response(refusal))
        self._linger()

    def _forget(self, cycle: RequestResponseCycle) -> None:
        """Give up a request whose body will not come; for its app the client has left."""
        for queued in [entry for entry in self.pipeline if entry[0] is cycle]:
            self.pipeline.remove(queued)
        if self._answering is cycle:
            self._answering = None
        cycle.disconnected = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()

    def _end_after_answers(self, refusal: Refusal | None = None) -> None:
        """Read nothing more; after the answers that are due, send a refusal if there is one, and close."""
        self._phase = CLOSING
        self._unset_keepalive_if_required()
        self._final_response = b"" if refusal is None else refusals.response(refusal)
        last = self.pipeline[0][0] if self.pipeline else self._answering
        if last is None or last.response_complete:
            self._linger()
        elif refusal is None:
            last.keep_alive = False

    def _linger(self) -> None:
        """End the sending side, and close once the client has done so too, or after a moment."""
        self._phase = CLOSING
        self._read_bytes = 0
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(LINGER_SECONDS, self._close)

    def _discard(self, data: bytes) -> None:
        self._read_bytes += len(data)
        if self._read_bytes > LINGER_BYTES and not self.is_answering:
            self._close()

    def _close(self) -> None:
        """Close once everything is sent; a client that does not read is cut off after a while."""
        if not self.transport.is_closing():
            self.transport.close()
            self._cut_off_later()

    def _cut_off_later(self) -> None:
        """Bound how long a closing transport waits for its client to read."""
        self._unset_stalled()
        self._stalled = self.loop.call_later(self._limits.write_seconds, self.transport.abort)


def guarded(limits: Limits, limiter: ConnectionLimiter) -> type[asyncio.Protocol]:
    """Return what `uvicorn.Config(http=…)` takes: the protocol with its bounds."""
    protocol = partial(GuardedProtocol, limits=limits, limiter=limiter, refusal_log=RefusalLog())
    return cast("type[asyncio.Protocol]", protocol)
