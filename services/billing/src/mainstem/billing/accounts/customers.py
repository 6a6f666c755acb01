"""Customers at Stripe: exactly one for each account, whatever crashes in between."""

from collections.abc import Mapping
from typing import Any

import structlog

from mainstem.billing.accounts import storage as accounts
from mainstem.billing.accounts.storage import BillingAccount
from mainstem.billing.stripe.client import OutcomeUnknownError, Stripe
from mainstem.billing.stripe.refusals import StripeRefusedError
from mainstem.common.clock import Clock
from mainstem.common.database.pool import Transactions
from mainstem.common.owner import Rule

log = structlog.get_logger()


class Customers:
    """Creates, finds and unlinks the customers of accounts."""

    def __init__(self, database: Transactions, clock: Clock, stripe: Stripe, rule: Rule) -> None:
        self._database = database
        self._clock = clock
        self._stripe = stripe
        self._rule = rule

    async def ensure(self, account: BillingAccount) -> str:
        """Return the id of the account's customer; create it if there is none.

        Safe to repeat and to run concurrently. The parameters are stored before the call, which has one key.
        After a lost answer the customer is looked up first, since Stripe forgets keys after a day.

        Raises:
            StripeRefusedError: Stripe refuses the parameters.
            OutcomeUnknownError: the customer may or may not exist.
        """
        if account.customer is not None:
            return account.customer
        was_requested = account.customer_request is not None
        async with self._database.transaction() as connection:
            account = await accounts.store_customer_request(
                connection, account.id, self._request(account), self._clock.now()
            )
        found = await self._find(account) if was_requested else None
        customer = found or await self._create(account)
        async with self._database.transaction() as connection:
            linked_account = await accounts.link_customer(connection, account.id, customer)
        assert linked_account.customer is not None  # noqa: S101 -- linked here, or before
        return linked_account.customer

    async def unlink(self, account: BillingAccount, customer: str) -> None:
        """Unlink a customer that was deleted at Stripe."""
        log.warning("customer.vanished", account=str(account.id), customer=customer)
        async with self._database.transaction() as connection:
            await accounts.unlink_customer(connection, account.id, customer)

    def _request(self, account: BillingAccount) -> Mapping[str, Any]:
        """Return the parameters of the customer: they name its owner for ingest, and its account for us."""
        linked = dict(self._rule.fields(account.owner))
        metadata = {"mainstem_account": str(account.id), **linked.pop("metadata", {})}
        return {"email": account.email, **linked, "metadata": metadata}

    async def _create(self, account: BillingAccount) -> str:
        if account.customer is not None:
            return account.customer
        try:
            return _id(
                await self._stripe.create_customer(account.customer_request or {}, account.customer_key)
            )
        except (StripeRefusedError, OutcomeUnknownError) as error:
            if isinstance(error, OutcomeUnknownError) and not error.is_kept:
                raise
            # An earlier request under this key may have succeeded although its answer was lost.
            if (found := await self._find(account)) is not None:
                return found
            log.warning("customer.refused", account=str(account.id), reason=error.reason)
            await self._clear_request(account)
            raise

    async def _find(self, account: BillingAccount) -> str | None:
        if account.customer is not None:
            return account.customer
        found = await self._stripe.find_customer((account.customer_request or {})["email"], str(account.id))
        return None if found is None else _id(found)

    async def _clear_request(self, account: BillingAccount) -> None:
        async with self._database.transaction() as connection:
            await accounts.clear_customer_request(connection, account)


def _id(customer: Mapping[str, Any]) -> str:
    found: str = customer["id"]
    return found
