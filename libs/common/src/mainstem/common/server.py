"""The server of every process: told to end, it says first that it is not ready, and then stops listening."""

import socket
import time
from types import FrameType

import structlog
import uvicorn

CLOSE = (b"connection", b"close")

log = structlog.get_logger()


class Ending:
    """Whether the process was told to end; `/__heartbeat__` answers by it."""

    def __init__(self) -> None:
        self.has_begun = False


class Server(uvicorn.Server):
    """Serves on for a while once it was told to end, so that whoever balances sees it and turns away.

    Each answer in that time closes its connection. Then nobody is let in any more, and what is under way
    may end within uvicorn's `timeout_graceful_shutdown`.
    """

    def __init__(self, config: uvicorn.Config, ending: Ending, *, drain_seconds: float) -> None:
        super().__init__(config)
        self._ending = ending
        self._drain_seconds = drain_seconds
        self._closes_at = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; told so once more, stop listening at once."""
        super().handle_exit(sig, frame)
        if not self._ending.has_begun:
            self._ending.has_begun = True
            self._closes_at = time.monotonic() + self._drain_seconds
            self.should_exit = self._drain_seconds == 0

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop listening; asked ten times a second."""
        is_over = await super().on_tick(counter)
        if not self._ending.has_begun:
            return is_over
        if CLOSE not in self.server_state.default_headers:
            # A new list: requests that are under way hold the old one.
            self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        return is_over or time.monotonic() >= self._closes_at

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and wait for what is under way."""
        log.info("listener.closed", requests=len(self.server_state.tasks))
        await super().shutdown(sockets)
