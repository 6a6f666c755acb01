"""Sending a person to Stripe's portal, and what needs no portal: taking back a cancellation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mainstem.billing import mirror
from mainstem.billing.accounts.storage import Account
from mainstem.billing.mirror import Subscription
from mainstem.billing.operations.perform import STOP_CANCELLATION, Operations
from mainstem.billing.policies.statuses import is_active
from mainstem.billing.stripe.client import MISSING, Stripe
from mainstem.billing.stripe.refusals import RefusedError
from mainstem.common.database.pool import Transactions
from mainstem.common.errors import ConflictError, NotFoundError
from mainstem.common.queue import hints

NO_CUSTOMER = "billing customer not found"
NO_SUBSCRIPTION = "subscription not found"
NONE_ACTIVE = "user has no active subscriptions"
MANY_ACTIVE = "user has multiple active subscriptions"
NOT_CANCELABLE = "subscription cannot be canceled"

HINT_SECONDS = 2.0


class Intent(StrEnum):
    """What a person wants."""

    CANCEL = "cancel"
    MANAGE = "manage"
    MANAGE_SUBSCRIPTION = "manage_subscription"
    STOP_CANCELLATION = "stop_cancellation"
    UPDATE_PAYMENT_METHOD = "update_payment_method"


NEED_SUBSCRIPTION = frozenset({Intent.CANCEL, Intent.STOP_CANCELLATION})


@dataclass(frozen=True, slots=True)
class Visit:
    """A wish of an account: `subscription` by Stripe's id, `return_url` for the way back, if there is one."""

    intent: Intent
    subscription: str | None
    return_url: str


class Portal:
    """Opens portal sessions."""

    def __init__(
        self, database: Transactions, stripe: Stripe, operations: Operations, *, wait_seconds: float
    ) -> None:
        self._database = database
        self._stripe = stripe
        self._operations = operations
        self._wait_seconds = wait_seconds

    async def manage(self, account: Account, visit: Visit) -> str | None:
        """Return the URL of a portal session, None where nobody has to go anywhere.

        Raises:
            NotFoundError: the account has no customer, or no such subscription.
            ConflictError: it is not clear, or not possible, which subscription to act on.
            RefusedError: Stripe will not.
            UnavailableError: Stripe did not answer.
        """
        if account.customer is None:
            raise NotFoundError(NO_CUSTOMER)
        async with self._database.transaction() as connection:
            known = await mirror.list_subscriptions(connection, account.customer)
        subscription = _choose(known, visit)
        if visit.intent is Intent.STOP_CANCELLATION and subscription is not None:
            await self._stop_cancellation(account, subscription.id)
            return None
        back = {"return_url": visit.return_url} if visit.return_url else {}
        wanted = {"customer": account.customer, **back, **_flow(visit, subscription)}
        try:
            session = await self._stripe.create_portal_session(wanted)
        except RefusedError as error:
            if (error.code, error.param) == (MISSING, "customer"):
                # The next checkout makes another one.
                raise NotFoundError(NO_CUSTOMER) from None
            raise
        url: str = session["url"]
        return url

    async def _stop_cancellation(self, account: Account, subscription: str) -> None:
        told = await self._operations.perform(account.id, STOP_CANCELLATION, subscription, self._wait_seconds)
        # So that who looks next sees it, if ingest is quick; it is done either way.
        await hints.wait(self._database, told, HINT_SECONDS)


def _choose(known: Sequence[Subscription], visit: Visit) -> Subscription | None:
    """Return the subscription to act on: the named one, else the only active one where one is needed.

    Those known are the account's own, so that a stranger's is not found.
    """
    if visit.subscription is not None:
        chosen = next((one for one in known if one.id == visit.subscription), None)
        if chosen is None:
            raise NotFoundError(NO_SUBSCRIPTION)
    elif visit.intent in NEED_SUBSCRIPTION:
        active = [one for one in known if is_active(one.status)]
        if len(active) != 1:
            raise ConflictError(MANY_ACTIVE if active else NONE_ACTIVE)
        chosen = active[0]
    else:
        return None
    if visit.intent is Intent.CANCEL and not chosen.is_cancelable:
        raise ConflictError(NOT_CANCELABLE)
    return chosen


def _flow(visit: Visit, subscription: Subscription | None) -> Mapping[str, Any]:
    """Return which page the portal opens at, if not its first.

    Source: https://docs.stripe.com/customer-management/portal-deep-links
    """
    flow: dict[str, Any]
    if visit.intent is Intent.CANCEL and subscription is not None:
        flow = {"type": "subscription_cancel", "subscription_cancel": {"subscription": subscription.id}}
    elif visit.intent is Intent.UPDATE_PAYMENT_METHOD:
        flow = {"type": "payment_method_update"}
    else:
        return {}
    if visit.return_url:
        flow["after_completion"] = {"type": "redirect", "redirect": {"return_url": visit.return_url}}
    return {"flow_data": flow}
