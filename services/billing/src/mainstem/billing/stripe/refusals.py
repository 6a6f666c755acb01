"""Refusals by Stripe: their cause, masked, and the answers of those that have one of their own. Pure.

Stripe gives these no `code`: the words of its message tell them apart, and each class names their source.
An unknown refusal is answered with 502 and Stripe's cause. https://docs.stripe.com/api/errors
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from mainstem.billing.stripe import masking
from mainstem.common.errors import BadGatewayError

NO_MESSAGE = "Stripe gave no message"
NOT_STRIPES = "the answer is not in the form of Stripe's errors"


@dataclass(frozen=True, slots=True)
class StripeRefusal:
    """Cause of a refusal, without personal data and keys."""

    status: int | None
    """HTTP status of Stripe's answer."""
    type: str | None
    code: str | None
    param: str | None
    message: str
    request_id: str | None

    def __str__(self) -> str:
        """Return all of it in one line."""
        names = {"HTTP": self.status, "code": self.code, "parameter": self.param, "request": self.request_id}
        given = ", ".join(f"{name} {value}" for name, value in names.items() if value is not None)
        return f"{self.message} ({given})" if given else self.message


class StripeRefusedError(BadGatewayError):
    """Stripe refused the request and did not act; the member `stripe` has the cause."""

    def __init__(self, detail: str, refusal: StripeRefusal) -> None:
        super().__init__(detail, stripe=asdict(refusal))
        self.refusal = refusal
        self.code = refusal.code
        self.param = refusal.param

    @property
    def reason(self) -> str:
        """Cause for logs and for what is stored."""
        return str(self.refusal)


class UnnamedRefusalError(StripeRefusedError):
    """Stripe refused the request for a reason that has no answer of its own."""

    def __init__(self, refusal: StripeRefusal) -> None:
        super().__init__(f"Stripe refused the request: {refusal}", refusal)


class ArchivedPriceError(StripeRefusedError):
    """The price was archived at Stripe, or its product was, after it was looked up.

    Sources: https://github.com/invertase/stripe-firebase-extensions/issues/560,
    https://github.com/stripe/stripe-node/issues/2131.
    """

    status = HTTPStatus.NOT_IMPLEMENTED

    def __init__(self, refusal: StripeRefusal) -> None:
        super().__init__(
            "the price or its product is archived at Stripe; activate it there, or name another price in"
            f" STRIPE_PRICE_ID. Stripe: {refusal}",
            refusal,
        )


class ScheduledError(StripeRefusedError):
    """A subscription schedule manages the subscription, so that its end cannot be changed directly.

    Sources: https://docs.stripe.com/billing/subscriptions/subscription-schedules,
    https://github.com/dust-tt/dust/pull/32051.
    """

    status = HTTPStatus.CONFLICT

    def __init__(self, refusal: StripeRefusal) -> None:
        super().__init__(
            "a subscription schedule manages this subscription; change or release the schedule at Stripe."
            f" Stripe: {refusal}",
            refusal,
        )


class CurrencyError(StripeRefusedError):
    """The customer pays in another currency at Stripe than the price has.

    Sources: https://support.stripe.com/questions/updating-subscription-currency,
    https://github.com/Automattic/woocommerce-payments/issues/7732,
    https://github.com/Paymenter/Paymenter/issues/986,
    https://github.com/civitai/civitai/pull/4945.
    """

    status = HTTPStatus.CONFLICT

    def __init__(self, refusal: StripeRefusal) -> None:
        super().__init__(
            "the customer pays in another currency at Stripe; choose a price in that currency, or end there"
            f" what is in it: subscriptions, invoice items, quotes, balance. Stripe: {refusal}",
            refusal,
        )


class NoPortalError(StripeRefusedError):
    """The billing portal has no configuration at Stripe.

    Source: https://docs.stripe.com/customer-management/activate-no-code-customer-portal.
    """

    status = HTTPStatus.NOT_IMPLEMENTED

    def __init__(self, refusal: StripeRefusal) -> None:
        super().__init__(
            "the billing portal has no configuration at Stripe; save Settings > Billing > Customer portal in"
            " the Dashboard, for test mode and live mode separately:"
            f" https://dashboard.stripe.com/settings/billing/portal. Stripe: {refusal}",
            refusal,
        )


class EndedError(StripeRefusedError):
    """The subscription has ended, and can only be bought anew.

    Source: https://docs.stripe.com/billing/subscriptions/cancel#reactivating-canceled-subscriptions.
    """

    status = HTTPStatus.CONFLICT

    def __init__(self, refusal: StripeRefusal) -> None:
        super().__init__(f"the subscription has ended; buy a new one. Stripe: {refusal}", refusal)


NAMED: tuple[tuple[str, Callable[[StripeRefusal], StripeRefusedError]], ...] = (
    ("price specified is inactive", ArchivedPriceError),
    ("its product is not active", ArchivedPriceError),
    ("managed by the subscription schedule", ScheduledError),
    ("combine currencies on a single customer", CurrencyError),
    ("does not match the customer currency", CurrencyError),
    ("match the expected currency", CurrencyError),
    ("default configuration has not been created", NoPortalError),
    ("save your customer portal settings", NoPortalError),
    ("canceled subscription can only update", EndedError),
)
"""Words of Stripe's messages by which refusals are known, and the error of each."""


def refused(
    status: int | None, body: object, request_id: object, sent: Mapping[str, Any]
) -> StripeRefusedError:
    """Return the error that answers a refusal with this body; `sent` holds the request's parameters."""
    cause = body.get("error") if isinstance(body, Mapping) else None
    given = cause if isinstance(cause, Mapping) else {"message": NOT_STRIPES}
    message = str(given.get("message") or NO_MESSAGE)
    refusal = StripeRefusal(
        status=status,
        type=masking.word(given.get("type"), sent),
        code=masking.word(given.get("code"), sent),
        param=masking.word(given.get("param"), sent),
        message=masking.masked(message, sent),
        request_id=masking.request_id(request_id),
    )
    known = (make for part, make in NAMED if part in message)
    error = next(known, UnnamedRefusalError)(refusal)
    # What is decided by these must not depend on what is masked.
    error.code, error.param = given.get("code"), given.get("param")
    return error
