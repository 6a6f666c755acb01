"""Bulkheads of fetching: each account has its own permits and its own circuit breaker.

An account that hangs, refuses or is asked too much keeps no other one waiting. State is kept only of accounts
that are being asked, and of accounts that failed when they were last asked.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mainstem.common.errors import UnavailableError
from mainstem.common.http.calls.breaker import Breaker


@dataclass
class Bulkhead:
    """One account's permits and breaker, while a batch of the account's is read.

    `is_trial` says that the circuit was open when the batch began: its one fetch is the trial.
    """

    permits: asyncio.Semaphore
    breaker: Breaker
    is_trial: bool = False
    users: int = 0

    @property
    def is_closed(self) -> bool:
        """Whether nothing more of the batch may be fetched, since fetches before it failed."""
        return self.breaker.is_open and not self.is_trial


class Bulkheads:
    """Bulkheads by account."""

    def __init__(self, provider: str, concurrency: int) -> None:
        self._provider = provider
        self._concurrency = concurrency
        self._bulkheads: dict[str, Bulkhead] = {}

    def room(self, account: str, most: int) -> int:
        """Return how many events of the account to claim now, `most` at most; a call may be the only trial.

        One, while its last fetch failed; none, while its circuit is open.
        """
        bulkhead = self._bulkheads.get(account)
        if bulkhead is None or not bulkhead.breaker.is_failing:
            return most
        try:
            bulkhead.breaker.check()
        except UnavailableError:
            return 0
        return 1

    @contextmanager
    def of(self, account: str) -> Iterator[Bulkhead]:
        """Give the account's bulkhead; its state is forgotten when nothing uses it and nothing failed."""
        bulkhead = self._bulkheads.get(account)
        if bulkhead is None:
            breaker = Breaker(self._provider, account=account)
            bulkhead = self._bulkheads[account] = Bulkhead(asyncio.Semaphore(self._concurrency), breaker)
        if bulkhead.users == 0:
            bulkhead.is_trial = bulkhead.breaker.is_open
        bulkhead.users += 1
        try:
            yield bulkhead
        finally:
            bulkhead.users -= 1
            if bulkhead.users == 0 and not bulkhead.breaker.is_failing:
                del self._bulkheads[account]
