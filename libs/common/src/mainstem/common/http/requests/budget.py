"""Budget for request bodies: how many bytes of them a process holds at once, in all and for one caller."""

from collections import Counter

import structlog

from mainstem.common.errors import UnavailableError
from mainstem.common.telemetry import metrics

TOTAL_BYTES = 64 * 1024 * 1024
SHARES = 4
"""One caller gets at most this part of the total: a quarter."""

RETRY_AFTER_SECONDS = 2

log = structlog.get_logger()
refused = metrics.meter().create_counter(
    "mainstem_bodies_refused",
    description="Requests answered with 503 since the process, or their caller, held too much of bodies.",
)


class Budget:
    """Bytes of bodies held by all requests of a process.

    Args:
        total_bytes: limit for all requests together; one caller may have a quarter of it.
    """

    def __init__(self, total_bytes: int = TOTAL_BYTES) -> None:
        self._total_bytes = total_bytes
        self._held_bytes = 0
        self._by_caller: Counter[str] = Counter()

    @property
    def held_bytes(self) -> int:
        """Bytes that all requests hold now."""
        return self._held_bytes

    def take(self, caller: str, size: int) -> None:
        """Add bytes to what a caller holds.

        Raises:
            UnavailableError: that would be too much; nothing was added.
        """
        is_share_spent = (self._by_caller[caller] + size) * SHARES > self._total_bytes
        if is_share_spent or self._held_bytes + size > self._total_bytes:
            refused.add(1, {"limit": "caller" if is_share_spent else "process"})
            log.warning("body.refused", limit="caller" if is_share_spent else "process")
            raise UnavailableError(
                "too many request bodies are being read; send the request again later",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        self._by_caller[caller] += size
        self._held_bytes += size

    def release(self, caller: str, size: int) -> None:
        """Take back what one request of a caller added."""
        self._held_bytes -= size
        self._by_caller[caller] -= size
        if not self._by_caller[caller]:
            del self._by_caller[caller]


class Holding:
    """Part of the budget that one request holds."""

    def __init__(self, budget: Budget, caller: str) -> None:
        self._budget = budget
        self._caller = caller
        self._bytes = 0

    def add(self, size: int) -> None:
        """Hold more bytes.

        Raises:
            UnavailableError: the budget does not allow it.
        """
        self._budget.take(self._caller, size)
        self._bytes += size

    def release(self) -> None:
        """Hold nothing any more; safe to repeat."""
        self._budget.release(self._caller, self._bytes)
        self._bytes = 0
