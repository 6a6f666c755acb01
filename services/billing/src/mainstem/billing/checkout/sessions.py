"""Checkout sessions at Stripe: their status, and the end of a purchase whose payment failed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from mainstem.billing.checkout.purchases import invoice_of, subscription_of
from mainstem.billing.checkout.status import CheckoutStatus, checkout_status, intent_status, is_unsettled
from mainstem.billing.stripe.client import MISSING, Object, Stripe
from mainstem.billing.stripe.refusals import StripeRefusedError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    """Checkout session read from Stripe, with its status; `data` has subscription and invoice inside."""

    data: Object
    status: CheckoutStatus

    @property
    def is_payable(self) -> bool:
        """Whether its invoice can still be paid."""
        return (invoice_of(self.data) or {}).get("status") in {"open", "uncollectible"}

    @property
    def is_incomplete(self) -> bool:
        """Whether its subscription can still become active."""
        return (subscription_of(self.data) or {}).get("status") == "incomplete"


class CheckoutSessions:
    """Reads Checkout sessions, and ends failed purchases."""

    def __init__(self, stripe: Stripe) -> None:
        self._stripe = stripe

    async def find(self, session_id: str) -> CheckoutSession | None:
        """Return a session with its status, None if Stripe has no such session.

        A session whose invoice or subscription is missing is an error: a payment may still arrive.

        Raises:
            StripeRefusedError: the key may not read it, or its invoice or subscription is missing.
            OutcomeUnknownError: Stripe did not answer.
        """
        try:
            data = await self._stripe.get_session(session_id)
        except StripeRefusedError as error:
            if error.code != MISSING:
                raise
            return None
        return await self._with_status(data)

    async def settle(self, session_id: str) -> CheckoutSession | None:
        """Return a session, ended if its payment failed; None if Stripe has no such session. Safe to repeat.

        Raises:
            StripeRefusedError: as in `find` and `abandon`.
            OutcomeUnknownError: Stripe did not answer.
        """
        session = await self.find(session_id)
        return None if session is None else await self.abandon(session)

    async def _with_status(self, data: Object) -> CheckoutSession:
        invoice = invoice_of(data) if is_unsettled(data) else None
        payments = [] if invoice is None else await self._stripe.list_payments(invoice["id"])
        return CheckoutSession(data, checkout_status(data, [intent_status(payment) for payment in payments]))

    async def abandon(self, session: CheckoutSession) -> CheckoutSession:
        """Void the invoice and cancel the subscription of a failed purchase. Safe to repeat.

        The invoice is voided before the subscription is cancelled: no payment can arrive for a subscription
        that has ended. If a payment succeeded just before, the session is `done`, and nothing is cancelled.

        Raises:
            StripeRefusedError: Stripe refuses, though the payment still counts as failed.
            OutcomeUnknownError: Stripe did not answer.
        """
        invoice, subscription = invoice_of(session.data), subscription_of(session.data)
        if session.status is CheckoutStatus.FAILED and session.is_payable and invoice is not None:
            session = await self._end(
                session, self._stripe.void_invoice, invoice, lambda now: not now.is_payable
            )
        if session.status is CheckoutStatus.FAILED and session.is_incomplete and subscription is not None:
            cancel = self._stripe.cancel_subscription
            session = await self._end(session, cancel, subscription, lambda now: not now.is_incomplete)
        return session

    async def _end(
        self,
        session: CheckoutSession,
        act: Callable[[str], Awaitable[None]],
        ending: Object,
        is_over: Callable[[CheckoutSession], bool],
    ) -> CheckoutSession:
        """End an object and read back; a refusal counts only if the object has not ended by itself."""
        refusal = None
        try:
            await act(ending["id"])
        except StripeRefusedError as error:
            refusal = error
        session = await self._with_status(await self._stripe.get_session(session.data["id"]))
        if refusal is not None and session.status is CheckoutStatus.FAILED and not is_over(session):
            raise refusal
        if refusal is None:
            log.info("failed_purchase.ended", object=ending["id"], stage=session.status)
        return session
