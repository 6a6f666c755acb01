"""Eligibility for a checkout: no overdue invoice and no active subscription, in the mirror and at Stripe."""

import asyncio
from collections.abc import Sequence
from typing import Any

from mainstem.billing import mirror
from mainstem.billing.accounts.storage import BillingAccount
from mainstem.billing.checkout.status import is_unpaid
from mainstem.billing.policies.debts import Debt, MirroredInvoice, find_debt
from mainstem.billing.policies.statuses import is_active
from mainstem.billing.stripe.client import MISSING, Stripe
from mainstem.billing.stripe.refusals import StripeRefusedError
from mainstem.common.clock import Clock
from mainstem.common.database.pool import Transactions
from mainstem.common.errors import ConflictError, PaymentRequiredError

SUBSCRIBED = "user already has an active subscription"
OVERDUE = "user has overdue invoices"


class Eligibility:
    """Checks whether an account may buy."""

    def __init__(self, database: Transactions, clock: Clock, stripe: Stripe) -> None:
        self._database = database
        self._clock = clock
        self._stripe = stripe

    async def check_mirror(self, account: BillingAccount) -> None:
        """Check the account's debts and subscriptions in the mirror.

        Raises:
            PaymentRequiredError: an invoice is overdue, at Stripe too.
            ConflictError: the owner has an active subscription.
        """
        async with self._database.transaction() as connection:
            invoices = await mirror.list_unpaid_invoices(connection, account.customer)
            subscriptions = await mirror.list_subscriptions(connection, account.customer)
            statuses = await mirror.list_statuses(connection, account.owner)
        await self._check_debts(invoices)
        if any(map(is_active, [*statuses, *(subscription.status for subscription in subscriptions)])):
            raise ConflictError(SUBSCRIBED)

    async def _check_debts(self, invoices: Sequence[MirroredInvoice]) -> None:
        now = self._clock.now()
        debts = [debt for invoice in invoices if (debt := find_debt(invoice, now)) is not None]
        are_owed = await asyncio.gather(*(self._is_owed(debt) for debt in debts))
        if any(are_owed):
            owed = [_debt_json(debt) for debt, is_owed in zip(debts, are_owed, strict=True) if is_owed]
            raise PaymentRequiredError(OVERDUE, debts=owed)

    async def _is_owed(self, debt: Debt) -> bool:
        """Return whether Stripe shows the debt too: the mirror may be late, and has no payments."""
        try:
            return is_unpaid(await self._stripe.get_invoice(debt.invoice))
        except StripeRefusedError:
            return True

    async def check_stripe(self, customer: str) -> None:
        """Check the customer's subscriptions at Stripe itself: the mirror may be late.

        Raises:
            ConflictError: the customer has an active subscription.
        """
        try:
            subscriptions = await self._stripe.list_subscriptions(customer)
        except StripeRefusedError as error:
            if error.code == MISSING:
                # The session will be refused for the same reason, which `Checkout` handles.
                return
            raise
        if any(is_active(subscription["status"]) for subscription in subscriptions):
            raise ConflictError(SUBSCRIBED)


def _debt_json(debt: Debt) -> dict[str, Any]:
    since = None if debt.since is None else debt.since.isoformat(timespec="milliseconds")
    return {
        "invoice": debt.invoice,
        "amount": debt.amount,
        "currency": debt.currency,
        "since": since and since.replace("+00:00", "Z"),
    }
