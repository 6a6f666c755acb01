"""Every error that a caller may see, with its HTTP status, in one shape: RFC 9457 problem details.

MainstemError                500
├── BadRequestError          400
├── UnauthorizedError        401
├── PaymentRequiredError     402
├── ForbiddenError           403
├── NotFoundError            404
├── BodyTimeoutError         408
├── ConflictError            409
├── ContentTooLargeError     413
├── InvalidError             422, with one entry a field
├── TooManyRequestsError     429
├── NotSupportedError        501
├── BadGatewayError          502
├── UnavailableError         503
└── GatewayTimeoutError      504
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, TypedDict

PROBLEM = "application/problem+json"
"""The media type of every error's body."""


class FieldError(TypedDict):
    """The error in one field of a request; `loc` is the path to the field, as in `["body", "email"]`."""

    loc: list[str | int]
    msg: str
    type: str


class MainstemError(Exception):
    """Something went wrong on our side.

    Args:
        detail: one sentence for the caller, never with personal data or secrets in it.
        headers: further headers of the answer.
        members: further members of the problem, where a client's contract has them.
    """

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self, detail: str = "", *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail or self.status.phrase)
        self.detail = detail or self.status.phrase
        self.headers = dict(headers or {})
        self.members = members

    def problem(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
            **self.members,
        }


class BadRequestError(MainstemError):
    """The request cannot be read."""

    status = HTTPStatus.BAD_REQUEST


class UnauthorizedError(MainstemError):
    """The caller did not show who it is."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, detail: str = "Not authenticated", **members: Any) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"}, **members)


class PaymentRequiredError(MainstemError):
    """Something has to be paid first."""

    status = HTTPStatus.PAYMENT_REQUIRED


class ForbiddenError(MainstemError):
    """The caller is known and may not."""

    status = HTTPStatus.FORBIDDEN


class NotFoundError(MainstemError):
    """There is no such thing."""

    status = HTTPStatus.NOT_FOUND


class BodyTimeoutError(MainstemError):
    """The body did not arrive within the endpoint's timeout."""

    status = HTTPStatus.REQUEST_TIMEOUT


class ConflictError(MainstemError):
    """The request contradicts what is stored."""

    status = HTTPStatus.CONFLICT


class ContentTooLargeError(MainstemError):
    """The body is over the endpoint's limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class InvalidError(MainstemError):
    """The request can be read and its values will not do."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail, errors=list(errors))


class TooManyRequestsError(MainstemError):
    """The caller has used up what it may ask for now."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class NotSupportedError(MainstemError):
    """This is not configured here."""

    status = HTTPStatus.NOT_IMPLEMENTED


class BadGatewayError(MainstemError):
    """Somebody we had to ask gave no usable answer."""

    status = HTTPStatus.BAD_GATEWAY


class UnavailableError(MainstemError):
    """We cannot serve this now; later we may."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class GatewayTimeoutError(MainstemError):
    """Somebody we had to ask did not answer in time."""

    status = HTTPStatus.GATEWAY_TIMEOUT
