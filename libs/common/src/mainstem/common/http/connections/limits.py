"""Bounds of one listening process: bytes, seconds and connections, by process and by client address."""

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from itertools import chain
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import _TrustedHosts

from mainstem.common.errors import TooManyRequestsError
from mainstem.common.http.problems import problem_response
from mainstem.common.telemetry import metrics

HEAD_BYTES = 64 * 1024
"""Request line and header lines together; more is 431."""
TARGET_BYTES = 8 * 1024
"""Path and query as sent; more is 414."""
HEADERS = 100
TRAILER_BYTES = 8 * 1024
"""Trailer lines and chunk extensions of one body; both are dropped."""

IPV6_NETWORK_BITS = 64
"""An IPv6 client usually owns a whole /64, so its addresses count as one."""

refused = metrics.meter().create_counter(
    "mainstem_requests_refused", description="Requests and connections refused before a route was looked for."
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits in seconds, and how many connections are accepted."""

    head_seconds: float = 10.0
    """From the first byte of a request to the end of its head, and for the first byte of a connection."""
    body_seconds: float = 30.0
    """From the end of the head to the end of the body."""
    idle_seconds: float = 5.0
    """Between two requests of a connection."""
    write_seconds: float = 30.0
    """For which a client may leave a full send buffer unread."""
    connections: int = 1_024
    connections_per_address: int = 256


class CountedConnection(Protocol):
    """A connection as the limiter sees it."""

    @property
    def is_answering(self) -> bool:
        """Whether a request of it is being answered."""
        ...

    @property
    def has_received_request(self) -> bool:
        """Whether a request has come."""
        ...

    @property
    def awaits_body(self) -> bool:
        """Whether the body of a request has not ended."""
        ...

    def drop(self) -> None:
        """Close it at once."""
        ...


class Trusted:
    """Peers whose `X-Forwarded-For` is believed: uvicorn's own reading of `FORWARDED_ALLOW_IPS`."""

    def __init__(self, addresses: str | None) -> None:
        self._hosts = _TrustedHosts(addresses or "")

    def __contains__(self, address: str) -> bool:
        """Whether this peer is trusted."""
        return bool(address) and address in self._hosts


class ConnectionLimiter:
    """Counts open connections of a process and of each client address.

    A full process drops its oldest connection on which no request came, else one that answers nothing, else
    one whose body has not ended, so that health checks still get in.
    """

    def __init__(self, limits: Limits, trusted: Trusted) -> None:
        self._limits = limits
        self._trusted = trusted
        self._open: dict[CountedConnection, str | None] = {}
        self._by_address = Counter[str]()

    def admit(self, connection: CountedConnection, address: str) -> bool:
        """Count a new connection; return False if it must be refused. Trusted peers have no limit."""
        owner = None if address in self._trusted else owner_of(address)
        if owner is not None and self._by_address[owner] >= self._limits.connections_per_address:
            return False
        if len(self._open) >= self._limits.connections and not self._make_room():
            return False
        self._open[connection] = owner
        if owner is not None:
            self._by_address[owner] += 1
        return True

    def leave(self, connection: CountedConnection) -> None:
        """Forget a connection. Safe to repeat."""
        owner = self._open.pop(connection, None)
        if owner is not None:
            _decrease(self._by_address, owner)

    def _make_room(self) -> bool:
        silent = (connection for connection in self._open if not connection.has_received_request)
        idle = (connection for connection in self._open if not connection.is_answering)
        unfinished = (connection for connection in self._open if connection.awaits_body)
        found = next(chain(silent, idle, unfinished), None)
        if found is not None:
            self.leave(found)
            found.drop()
        return found is not None


class AddressLimitMiddleware:
    """Refuses requests of a client address that has too many under way.

    Behind a trusted proxy one connection carries requests of many clients, so connections say nothing there.
    """

    def __init__(self, app: ASGIApp, limits: Limits, trusted: Trusted) -> None:
        self._app = app
        self._most = limits.connections_per_address
        self._trusted = trusted
        self._running = Counter[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        client = scope.get("client")
        if scope["type"] != "http" or client is None or client[0] in self._trusted:
            await self._app(scope, receive, send)
            return
        owner = owner_of(client[0])
        if self._running[owner] >= self._most:
            refused.add(1, {"reason": "address_requests"})
            error = TooManyRequestsError(
                "too many requests of this address are under way; wait for their answers",
                headers={"Retry-After": "1"},
            )
            await problem_response(error)(scope, receive, send)
            return
        self._running[owner] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            _decrease(self._running, owner)


def owner_of(address: str) -> str:
    """Return the key that limits of an address count by: the address, or the /64 of an IPv6 one."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return parsed.packed[: IPV6_NETWORK_BITS // 8].hex()


def _decrease(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]
