"""Identities of accounts: a key must answer for the account that is recorded, else the account is stopped.

A stopped account has a `problem` in `inbox.account`; nothing of it is claimed until an operator clears that.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress

import structlog

from mainstem.common.database.pool import Connection, Transactions
from mainstem.common.telemetry import metrics
from mainstem.ingest.providers.protocol import FetchError, Reader, RestrictedError

PERIOD_SECONDS = 1.0
"""Machine time from one look at the accounts' problems to the next."""
RETRY_SECONDS = 10.0
"""Machine time until an account is read again that did not answer."""
AT_ONCE = 10
"""Accounts that are read at once."""

STOPPED = "SELECT account, problem FROM inbox.account WHERE provider = $1 AND problem IS NOT NULL"
FIND = """
SELECT provider_id, parent, problem FROM inbox.account WHERE provider = $1 AND account = $2 FOR UPDATE
"""
RECORD = "UPDATE inbox.account SET provider_id = $3 WHERE provider = $1 AND account = $2"
STOP = "UPDATE inbox.account SET problem = $3 WHERE provider = $1 AND account = $2"

log = structlog.get_logger()
_meter = metrics.meter()
checks = _meter.create_counter(
    "mainstem_account_checks",
    description="Checks of a key's account, by outcome: same, recorded, other, refused, failed.",
)
stopped = _meter.create_gauge(
    "mainstem_accounts_stopped", description="Accounts of which nothing is worked on until they are mended."
)


class Identities:
    """Identities of one provider's accounts that are fetched from.

    `stopped` holds the problem of each stopped account, as last read.
    """

    def __init__(
        self,
        provider: str,
        readers: Mapping[str, Reader],
        database: Transactions,
        *,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self.stopped: Mapping[str, str] = {}
        self._provider = provider
        self._readers = readers
        self._database = database
        self._retry_seconds = retry_seconds
        self._unproven = set(readers)
        self._next_look = self._next_check = 0.0
        self._checking: asyncio.Task[None] | None = None

    async def work(self) -> int:
        """Read which accounts are stopped, and have keys checked in the background; return 0.

        A key is checked once it is first seen, and again after its account was stopped. This waits for no
        provider.
        """
        now = time.monotonic()
        if now < self._next_look:
            return 0
        self._next_look = now + PERIOD_SECONDS
        async with self._database.transaction() as connection:
            rows = await connection.fetch(STOPPED, self._provider)
        self._adopt({row["account"]: row["problem"] for row in rows})
        if self._checking is not None and self._checking.done():
            checking, self._checking = self._checking, None
            checking.result()
        if self._checking is None and now >= self._next_check:
            self._next_check = now + self._retry_seconds
            self._checking = asyncio.create_task(self._check(), name="identities")
        return 0

    async def close(self) -> None:
        """End the check that is under way."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)

    async def prove(self, account: str, reader: Reader) -> None:
        """Demand that the account's reader answers for the recorded account; the first answer is recorded.

        A restricted key may not read its account: this passes, with a warning.

        Raises:
            FetchError: the account is stopped, since the key answers for another one; or no answer came.
        """
        try:
            found = await reader.identity()
        except RestrictedError as error:
            self._count("refused")
            log.warning("account.check_refused", account=account, permission=error.permission)
            return
        except (FetchError, OSError) as error:
            self._count("failed")
            log.info("account.check_failed", account=account, error=type(error).__name__)
            raise error if isinstance(error, FetchError) else FetchError(type(error).__name__) from None
        async with self._database.transaction() as connection:
            outcome, problem = await self._compare(connection, account, found)
        self._count(outcome)
        if problem is not None:
            self._adopt({**self.stopped, account: problem})
            raise FetchError(problem)

    async def _compare(self, connection: Connection, account: str, found: str) -> tuple[str, str | None]:
        """Record the first id, or stop the account for another one; return the outcome and the problem."""
        row = await connection.fetchrow(FIND, self._provider, account)
        if row is None:
            return "same", None
        recorded, problem = row["provider_id"], row["problem"]
        if recorded == found:
            return "same", problem
        if recorded is None:
            await connection.execute(RECORD, self._provider, account, found)
            return "recorded", problem
        problem = (_problem if row["parent"] is None else _unrouted)(account, recorded, found)
        await connection.execute(STOP, self._provider, account, problem)
        return "other", problem

    async def _check(self) -> None:
        limit = asyncio.Semaphore(AT_ONCE)

        async def check(account: str) -> None:
            async with limit:
                with suppress(FetchError):
                    await self.prove(account, self._readers[account])
                    self._unproven.discard(account)

        await asyncio.gather(*(check(one) for one in self._unproven - self.stopped.keys()))

    def _adopt(self, problems: Mapping[str, str]) -> None:
        for account in problems.keys() - self.stopped.keys():
            log.error("account.stopped", account=account, problem=problems[account])
        self.stopped = problems
        self._unproven |= problems.keys() & self._readers.keys()
        stopped.set(len(problems))

    def _count(self, outcome: str) -> None:
        checks.add(1, {"outcome": outcome})


def _problem(account: str, recorded: str, found: str) -> str:
    return (
        f"the key answers for {found}, but {recorded} is recorded: give the account {recorded}'s key and run "
        f"`mainstem ingest accounts accept {account}`, or `accounts accept {account} {found}` if it changed"
    )


def _unrouted(account: str, recorded: str, found: str) -> str:
    return (
        f"a request in the name of the connected account {recorded} was answered for {found}: see that"
        " nothing on the way to Stripe takes the header `Stripe-Account` away, then run"
        f" `mainstem ingest accounts accept {account}`"
    )
