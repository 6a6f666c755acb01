"""Server of every process: guarded connections, a watched loop, and an end in two steps.

After SIGTERM it first reports that it is not ready, and then stops listening.
"""

import os
import socket
import time
from types import FrameType

import structlog
import uvicorn
from starlette.types import ASGIApp

from mainstem.common.http.connections.guard import guarded
from mainstem.common.http.connections.limits import AddressLimitMiddleware, ConnectionLimiter, Limits, Trusted
from mainstem.common.settings import ServiceSettings
from mainstem.common.telemetry.watchdog import open_watchdog

TRUSTED_PROXIES = "FORWARDED_ALLOW_IPS"
"""uvicorn's own name for whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed; unset: nobody's."""

CLOSE = (b"connection", b"close")

log = structlog.get_logger()


def configuration(app: ASGIApp, settings: ServiceSettings) -> uvicorn.Config:
    """Return how uvicorn serves an app: guarded, within the limits of the settings."""
    limits = Limits(
        head_seconds=settings.head_seconds,
        body_seconds=settings.body_seconds,
        idle_seconds=settings.idle_seconds,
        connections=settings.connections,
        connections_per_address=settings.connections_per_address,
    )
    trusted = Trusted(os.environ.get(TRUSTED_PROXIES))
    is_behind_proxy = TRUSTED_PROXIES in os.environ
    return uvicorn.Config(
        # Without a proxy an address has no more requests under way than connections.
        AddressLimitMiddleware(app, limits, trusted) if is_behind_proxy else app,
        host=settings.host,
        port=settings.port,
        http=guarded(limits, ConnectionLimiter(limits, trusted)),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        # uvicorn trusts loopback unless told whom: anybody there could pass as another address.
        proxy_headers=is_behind_proxy,
        timeout_graceful_shutdown=settings.stop_seconds,
    )


class ShutdownState:
    """Whether shutdown has begun; `/__heartbeat__` is not ready from then on."""

    def __init__(self) -> None:
        self.has_begun = False


class Server(uvicorn.Server):
    """uvicorn server that serves for `drain_seconds` after SIGTERM, so that load balancers turn away.

    Each response in that time closes its connection. Then the server stops listening, and requests under
    way may end within uvicorn's `timeout_graceful_shutdown`.
    """

    def __init__(
        self, config: uvicorn.Config, shutdown_state: ShutdownState, *, drain_seconds: float
    ) -> None:
        super().__init__(config)
        self._shutdown_state = shutdown_state
        self._drain_seconds = drain_seconds
        self._closes_at = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the shutdown; on a second signal, stop listening at once."""
        super().handle_exit(sig, frame)
        if not self._shutdown_state.has_begun:
            self._shutdown_state.has_begun = True
            self._closes_at = time.monotonic() + self._drain_seconds
            self.should_exit = self._drain_seconds == 0

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop listening; called ten times a second."""
        is_over = await super().on_tick(counter)
        if not self._shutdown_state.has_begun:
            return is_over
        if CLOSE not in self.server_state.default_headers:
            # A new list: requests that are under way hold the old one.
            self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        return is_over or time.monotonic() >= self._closes_at

    async def main_loop(self) -> None:
        """Serve until a signal, with a watchdog on the loop."""
        async with open_watchdog():
            await super().main_loop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and wait for what is under way."""
        log.info("listener.closed", requests=len(self.server_state.tasks))
        await super().shutdown(sockets)
