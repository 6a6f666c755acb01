"""Tying an account to one customer at Stripe, whatever crashes in between."""

from collections.abc import Mapping
from typing import Any

import structlog

from mainstem.billing.accounts import storage as accounts
from mainstem.billing.accounts.storage import Account
from mainstem.billing.stripe.client import OutcomeUnknownError, Stripe
from mainstem.billing.stripe.refusals import RefusedError
from mainstem.common.clock import Clock
from mainstem.common.database.pool import Transactions
from mainstem.common.owner import Rule

log = structlog.get_logger()


class Customers:
    """The customers that stand for accounts."""

    def __init__(self, database: Transactions, clock: Clock, stripe: Stripe, rule: Rule) -> None:
        self._database = database
        self._clock = clock
        self._stripe = stripe
        self._rule = rule

    async def ensure(self, account: Account) -> str:
        """Return the id of the account's customer, which is made if there is none.

        Safe to repeat, and at once. What it is made of is written down first and asked for under one key;
        whoever comes after a lost answer looks for it first, since Stripe forgets keys after a day.

        Raises:
            RefusedError: Stripe takes no such customer.
            OutcomeUnknownError: it may have been made or not.
        """
        if account.customer is not None:
            return account.customer
        was_asked = account.asked is not None
        async with self._database.transaction() as connection:
            account = await accounts.ask(connection, account.id, self._wanted(account), self._clock.now())
        found = await self._find(account) if was_asked else None
        customer = found or await self._create(account)
        async with self._database.transaction() as connection:
            tied = await accounts.tie(connection, account.id, customer)
        assert tied.customer is not None  # noqa: S101 -- it was tied, or had been
        return tied.customer

    async def forget(self, account: Account, customer: str) -> None:
        """Let go of a customer that Stripe does not know any more."""
        log.warning("customer.vanished", account=str(account.id), customer=customer)
        async with self._database.transaction() as connection:
            await accounts.untie(connection, account.id, customer)

    def _wanted(self, account: Account) -> Mapping[str, Any]:
        """Return what says whose the customer is, to us and to whoever reads the mirror."""
        linked = dict(self._rule.fields(account.owner))
        metadata = {"mainstem_account": str(account.id), **linked.pop("metadata", {})}
        return {"email": account.email, **linked, "metadata": metadata}

    async def _create(self, account: Account) -> str:
        if account.customer is not None:
            return account.customer
        try:
            return _id(await self._stripe.create_customer(account.asked or {}, account.key))
        except (RefusedError, OutcomeUnknownError) as error:
            if isinstance(error, OutcomeUnknownError) and not error.is_kept:
                raise
            # A refusal tells nothing of an earlier request under this key, whose answer may have been lost.
            if (found := await self._find(account)) is not None:
                return found
            log.warning("customer.refused", account=str(account.id), reason=error.reason)
            await self._take_back(account)
            raise

    async def _find(self, account: Account) -> str | None:
        if account.customer is not None:
            return account.customer
        found = await self._stripe.find_customer((account.asked or {})["email"], str(account.id))
        return None if found is None else _id(found)

    async def _take_back(self, account: Account) -> None:
        async with self._database.transaction() as connection:
            await accounts.take_back(connection, account)


def _id(customer: Mapping[str, Any]) -> str:
    found: str = customer["id"]
    return found
