"""Checkout sessions at Stripe: how far each came, and the end of a purchase whose payment failed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from mainstem.billing.checkout.purchases import invoice_of, subscription_of
from mainstem.billing.checkout.stages import Stage, intent_status, is_unsettled, stage
from mainstem.billing.stripe.client import MISSING, Object, Stripe
from mainstem.billing.stripe.refusals import RefusedError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Seen:
    """A session as Stripe showed it, with its subscription and invoice inside, and how far it came."""

    session: Object
    stage: Stage

    @property
    def is_payable(self) -> bool:
        """Whether its invoice can still be paid."""
        return (invoice_of(self.session) or {}).get("status") in {"open", "uncollectible"}

    @property
    def is_incomplete(self) -> bool:
        """Whether its subscription can still become active."""
        return (subscription_of(self.session) or {}).get("status") == "incomplete"


class Sessions:
    """Reads sessions, and ends failed purchases."""

    def __init__(self, stripe: Stripe) -> None:
        self._stripe = stripe

    async def find(self, session_id: str) -> Seen | None:
        """Return a session and how far it came, None if Stripe does not know it.

        Only the session's own absence counts: if its invoice or subscription is missing, a payment may still
        arrive.

        Raises:
            RefusedError: the key may not read it, or something else of it is missing.
            OutcomeUnknownError: Stripe did not answer.
        """
        try:
            session = await self._stripe.get_session(session_id)
        except RefusedError as error:
            if error.code != MISSING:
                raise
            return None
        return await self._seen(session)

    async def settle(self, session_id: str) -> Seen | None:
        """Return a session, a failed purchase ended; None if Stripe does not know it. Safe to repeat.

        Raises:
            RefusedError: as in `find` and `abandon`.
            OutcomeUnknownError: Stripe did not answer.
        """
        seen = await self.find(session_id)
        return None if seen is None else await self.abandon(seen)

    async def _seen(self, session: Object) -> Seen:
        invoice = invoice_of(session) if is_unsettled(session) else None
        payments = [] if invoice is None else await self._stripe.list_payments(invoice["id"])
        return Seen(session, stage(session, [intent_status(payment) for payment in payments]))

    async def abandon(self, seen: Seen) -> Seen:
        """Make a failed purchase one that never starts, and return the session as it is then. Safe to repeat.

        The invoice is voided before the subscription is cancelled: no payment can arrive for a subscription
        that has ended. A payment that succeeds just before is read back as done, and nothing is cancelled.

        Raises:
            RefusedError: Stripe will not, though the payment still counts as failed.
            OutcomeUnknownError: Stripe did not answer.
        """
        invoice, subscription = invoice_of(seen.session), subscription_of(seen.session)
        if seen.stage is Stage.FAILED and seen.is_payable and invoice is not None:
            seen = await self._end(seen, self._stripe.void_invoice, invoice, lambda now: not now.is_payable)
        if seen.stage is Stage.FAILED and seen.is_incomplete and subscription is not None:
            cancel = self._stripe.cancel_subscription
            seen = await self._end(seen, cancel, subscription, lambda now: not now.is_incomplete)
        return seen

    async def _end(
        self,
        seen: Seen,
        act: Callable[[str], Awaitable[None]],
        ending: Object,
        is_over: Callable[[Seen], bool],
    ) -> Seen:
        """End an object and read back; a refusal counts only if the object has not ended by itself."""
        refusal = None
        try:
            await act(ending["id"])
        except RefusedError as error:
            refusal = error
        seen = await self._seen(await self._stripe.get_session(seen.session["id"]))
        if refusal is not None and seen.stage is Stage.FAILED and not is_over(seen):
            raise refusal
        if refusal is None:
            log.info("failed_purchase.ended", object=ending["id"], stage=seen.stage)
        return seen
