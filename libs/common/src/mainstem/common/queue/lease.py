"""Leases: work that one worker holds for a while, and settles only while it holds it.

Leases live by Postgres' own time. A claim writes owner, token and expiry; whoever settles must still
find its token on every row it claimed, else the whole transaction rolls back.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

from mainstem.common.errors import MainstemError

RETRY_SECONDS: Sequence[float] = (1, 5, 30, 120, 600, 1_800, 3_600)
"""Delays after the first failure, the second, …; the last delay repeats. World time."""

IN_ORDER = "SET LOCAL enable_sort = off; SET LOCAL enable_seqscan = off"
"""Precedes a claim in its transaction, so that it reads its index in order and stops at its limit.

To read and sort a whole backlog may look cheaper, by what is known of a table that grew lately; and a plan
that was made while the table was empty is kept. For that reason claims also name their rows by an array,
which is looked up in an index, and not by a join.
"""


class LeaseLostError(MainstemError):
    """Somebody else holds, or has settled, what this lease claimed: nothing may be written."""


@dataclass(frozen=True)
class Lease:
    """One worker's hold on what it claimed at once."""

    owner: str
    seconds: float
    token: UUID = field(default_factory=uuid4)

    @property
    def duration(self) -> timedelta:
        """The duration of the lease, from the claim on."""
        return timedelta(seconds=self.seconds)


def affected(status: str) -> int:
    """Return how many rows a statement touched, from its command tag (`UPDATE 3`)."""
    return int(status.rpartition(" ")[2])


def demand_all(touched: int, claimed: int) -> None:
    """Pass if settling touched exactly what was claimed.

    Raises:
        LeaseLostError: it did not; the caller's transaction must roll back.
    """
    if touched != claimed:
        raise LeaseLostError(f"{touched} of {claimed} claimed rows were still held")


def retry_delay(failures: int, schedule: Sequence[float] = RETRY_SECONDS) -> timedelta:
    """Return how long to wait after that many failures (1 or more), with a tenth of jitter."""
    seconds = schedule[min(failures, len(schedule)) - 1]
    return timedelta(seconds=seconds * random.uniform(1.0, 1.1))
