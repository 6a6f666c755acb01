"""Limits for failed token requests: by client address, by client id, and by both together.

They are kept in memory, by each process for itself, and bounded. What is forgotten is forgiven.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from ipaddress import IPv6Address, IPv6Network, ip_address

from mainstem.common.errors import TooManyRequestsError

REMEMBERED = 10_000

Monotonic = Callable[[], float]


class FailureLimit:
    """Token bucket for each key, empty after `burst` failures; one failure is forgiven in `seconds`."""

    def __init__(
        self, burst: int, seconds: float, monotonic: Monotonic, *, capacity: int = REMEMBERED
    ) -> None:
        self._slack = (burst - 1) * seconds
        self._seconds = seconds
        self._monotonic = monotonic
        self._capacity = capacity
        # When all failures of a key are forgiven: one number is the whole bucket (GCRA).
        self._forgiven_at: OrderedDict[Hashable, float] = OrderedDict()

    def wait_seconds(self, key: Hashable) -> float:
        """Return the seconds until the key may fail again; 0 if it may now."""
        return max(0.0, self.debt_seconds(key) - self._slack)

    def debt_seconds(self, key: Hashable) -> float:
        """Return the seconds until all failures of the key are forgiven."""
        return max(0.0, self._forgiven_at.get(key, 0.0) - self._monotonic())

    def record(self, key: Hashable) -> None:
        """Count one failure."""
        forgiven_at = self._monotonic() + self.debt_seconds(key) + self._seconds
        self._forgiven_at.pop(key, None)
        while len(self._forgiven_at) >= self._capacity:
            self._forgiven_at.popitem(last=False)
        self._forgiven_at[key] = forgiven_at


class Attempts:
    """Failed token requests of late, and whether another attempt is allowed."""

    def __init__(self, monotonic: Monotonic = time.monotonic) -> None:
        # An address may be that of many clients, behind a proxy or a NAT; a pair is one client.
        self._addresses = FailureLimit(60, 1.0, monotonic)
        self._client_ids = FailureLimit(60, 1.0, monotonic)
        self._pairs = FailureLimit(10, 10.0, monotonic)

    def check(self, address: str, client_id: str, *, has_place: bool) -> None:
        """Return if an attempt is allowed.

        Args:
            address: what `network_of` returned.
            client_id: as it was sent; the client may not exist.
            has_place: the client succeeded from that address; failures of others do not count then.

        Raises:
            TooManyRequestsError: too many failed before.
        """
        pair = (address, client_id)
        wait_seconds = self._pairs.wait_seconds(pair)
        if not has_place:
            wait_seconds = max(wait_seconds, self._addresses.wait_seconds(address))
        # Client ids are no secrets. Failures of others bar no address that has not failed on the id itself.
        if not has_place and self._pairs.debt_seconds(pair):
            wait_seconds = max(wait_seconds, self._client_ids.wait_seconds(client_id))
        if wait_seconds:
            raise too_many_attempts(wait_seconds)

    def record(self, address: str, client_id: str) -> None:
        """Count a failed attempt."""
        self._addresses.record(address)
        self._client_ids.record(client_id)
        self._pairs.record((address, client_id))


def too_many_attempts(wait_seconds: float) -> TooManyRequestsError:
    """Return the error that tells a caller when to try again."""
    return TooManyRequestsError(
        "too many attempts to get a token; try again after the seconds that Retry-After names",
        headers={"Retry-After": str(math.ceil(wait_seconds))},
        error="temporarily_unavailable",
    )


def network_of(host: str) -> str:
    """Return what limits count as one address: an IPv4 address, or the /64 network of an IPv6 address.

    Anything else, such as a name that a proxy forwarded, counts as one address too.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or IPv6Network((address.packed, 64), strict=False))
