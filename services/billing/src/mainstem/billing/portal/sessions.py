"""Portal sessions at Stripe, and the request that needs none: to take back a cancellation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mainstem.billing import mirror
from mainstem.billing.accounts.storage import BillingAccount
from mainstem.billing.mirror import MirroredSubscription
from mainstem.billing.operations.runner import STOP_CANCELLATION, OperationRunner
from mainstem.billing.policies.statuses import is_active
from mainstem.billing.stripe.client import MISSING, Stripe
from mainstem.billing.stripe.refusals import StripeRefusedError
from mainstem.common.database.pool import Transactions
from mainstem.common.errors import ConflictError, NotFoundError
from mainstem.common.queue import hints

NO_CUSTOMER = "billing customer not found"
NO_SUBSCRIPTION = "subscription not found"
NONE_ACTIVE = "user has no active subscriptions"
MANY_ACTIVE = "user has multiple active subscriptions"
NOT_CANCELABLE = "subscription cannot be canceled"

HINT_SECONDS = 2.0


class PortalIntent(StrEnum):
    """Intent of a portal request."""

    CANCEL = "cancel"
    MANAGE = "manage"
    MANAGE_SUBSCRIPTION = "manage_subscription"
    STOP_CANCELLATION = "stop_cancellation"
    UPDATE_PAYMENT_METHOD = "update_payment_method"


NEED_SUBSCRIPTION = frozenset({PortalIntent.CANCEL, PortalIntent.STOP_CANCELLATION})


@dataclass(frozen=True, slots=True)
class PortalRequest:
    """Request of an account: `subscription` is Stripe's id, `return_url` the way back, "" for none."""

    intent: PortalIntent
    subscription: str | None
    return_url: str


class Portal:
    """Creates portal sessions, and takes cancellations back."""

    def __init__(
        self, database: Transactions, stripe: Stripe, operations: OperationRunner, *, wait_seconds: float
    ) -> None:
        self._database = database
        self._stripe = stripe
        self._operations = operations
        self._wait_seconds = wait_seconds

    async def manage(self, account: BillingAccount, request: PortalRequest) -> str | None:
        """Return the URL of a portal session, None after an operation that needs none.

        Raises:
            NotFoundError: the account has no customer, or no such subscription.
            ConflictError: no or several subscriptions fit, or the one cannot be cancelled.
            StripeRefusedError: Stripe refused the request.
            UnavailableError: Stripe did not answer.
        """
        if account.customer is None:
            raise NotFoundError(NO_CUSTOMER)
        async with self._database.transaction() as connection:
            known = await mirror.list_subscriptions(connection, account.customer)
        subscription = _choose(known, request)
        if request.intent is PortalIntent.STOP_CANCELLATION and subscription is not None:
            await self._stop_cancellation(account, subscription.id)
            return None
        back = {"return_url": request.return_url} if request.return_url else {}
        wanted = {"customer": account.customer, **back, **_flow_data(request, subscription)}
        try:
            session = await self._stripe.create_portal_session(wanted)
        except StripeRefusedError as error:
            if (error.code, error.param) == (MISSING, "customer"):
                # The next checkout creates another one.
                raise NotFoundError(NO_CUSTOMER) from None
            raise
        url: str = session["url"]
        return url

    async def _stop_cancellation(self, account: BillingAccount, subscription: str) -> None:
        written = await self._operations.perform(
            account.id, STOP_CANCELLATION, subscription, self._wait_seconds
        )
        # The next read of the mirror shows it if ingest is quick; it is done either way.
        await hints.wait(self._database, written, HINT_SECONDS)


def _choose(known: Sequence[MirroredSubscription], request: PortalRequest) -> MirroredSubscription | None:
    """Return the subscription to act on: the named one, else the only active one if the intent needs one.

    `known` has the account's own subscriptions, so that no other account's is found.
    """
    if request.subscription is not None:
        chosen = next((candidate for candidate in known if candidate.id == request.subscription), None)
        if chosen is None:
            raise NotFoundError(NO_SUBSCRIPTION)
    elif request.intent in NEED_SUBSCRIPTION:
        active = [candidate for candidate in known if is_active(candidate.status)]
        if len(active) != 1:
            raise ConflictError(MANY_ACTIVE if active else NONE_ACTIVE)
        chosen = active[0]
    else:
        return None
    if request.intent is PortalIntent.CANCEL and not chosen.is_cancelable:
        raise ConflictError(NOT_CANCELABLE)
    return chosen


def _flow_data(request: PortalRequest, subscription: MirroredSubscription | None) -> Mapping[str, Any]:
    """Return the `flow_data` of the page that the portal opens at, nothing for its first page.

    Source: https://docs.stripe.com/customer-management/portal-deep-links
    """
    flow: dict[str, Any]
    if request.intent is PortalIntent.CANCEL and subscription is not None:
        flow = {"type": "subscription_cancel", "subscription_cancel": {"subscription": subscription.id}}
    elif request.intent is PortalIntent.UPDATE_PAYMENT_METHOD:
        flow = {"type": "payment_method_update"}
    else:
        return {}
    if request.return_url:
        flow["after_completion"] = {"type": "redirect", "redirect": {"return_url": request.return_url}}
    return {"flow_data": flow}
