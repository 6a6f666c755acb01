"""Shares of fetching: each account has its own permits and its own circuit breaker.

An account that hangs, refuses or is asked too much keeps no other one waiting. State is kept only of accounts
that are being asked, and of accounts that failed when they were last asked.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mainstem.common.errors import UnavailableError
from mainstem.common.http.breaker import Breaker


@dataclass
class Share:
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


class Shares:
    """Shares by account."""

    def __init__(self, provider: str, concurrency: int) -> None:
        self._provider = provider
        self._concurrency = concurrency
        self._shares: dict[str, Share] = {}

    def room(self, account: str, most: int) -> int:
        """Return how many events of the account to claim now, `most` at most; a call may be the only trial.

        One, while its last fetch failed; none, while its circuit is open.
        """
        share = self._shares.get(account)
        if share is None or not share.breaker.is_failing:
            return most
        try:
            share.breaker.check()
        except UnavailableError:
            return 0
        return 1

    @contextmanager
    def of(self, account: str) -> Iterator[Share]:
        """Give the account's share; its state is forgotten when nothing uses it and nothing failed."""
        share = self._shares.get(account)
        if share is None:
            breaker = Breaker(self._provider, account=account)
            share = self._shares[account] = Share(asyncio.Semaphore(self._concurrency), breaker)
        if share.users == 0:
            share.is_trial = share.breaker.is_open
        share.users += 1
        try:
            yield share
        finally:
            share.users -= 1
            if share.users == 0 and not share.breaker.is_failing:
                del self._shares[account]
