"""Errors that refuse a request, in the shape of Stripe's own."""

from http import HTTPStatus
from typing import Any

_DOCUMENTATION = "https://stripe.com/docs/error-codes/"


class StripeError(Exception):
    """A refusal, as Stripe words it.

    Args:
        message: Stripe's sentence.
        status: the HTTP status of the answer.
        kind: Stripe's `error.type`.
        code: Stripe's `error.code`, where it gives one.
        param: the parameter at fault, in bracket form.
        members: what else stands in the error, such as `decline_code`.
    """

    def __init__(
        self,
        message: str,
        *,
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        **members: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self._facts = {"code": code, "message": message, "param": param, "type": kind, **members}
        if code is not None:
            self._facts["doc_url"] = _DOCUMENTATION + code.replace("_", "-")

    def body(self) -> dict[str, Any]:
        """Return the JSON of the answer; what Stripe leaves out is left out."""
        return {"error": {name: fact for name, fact in sorted(self._facts.items()) if fact is not None}}


class DeclinedError(StripeError):
    """The card was refused."""

    def __init__(self, code: str, decline_code: str, message: str) -> None:
        super().__init__(
            message,
            status=HTTPStatus.PAYMENT_REQUIRED,
            kind="card_error",
            code=code,
            decline_code=decline_code,
        )


def no_such(noun: str, given: str, *, param: str = "id") -> StripeError:
    """Return the refusal of an unknown id: 404 where the path names it, 400 where a parameter does."""
    status = HTTPStatus.NOT_FOUND if param == "id" else HTTPStatus.BAD_REQUEST
    words = noun.replace("_", " ").replace("payment method", "PaymentMethod")
    return StripeError(f"No such {words}: '{given}'", status=status, code="resource_missing", param=param)
