"""Stripe's answers to a fetch: what each one proves of the object; pure.

Only two kinds of answers prove something: the object itself, and Stripe's own error object.
Anything else at Stripe's address, such as a proxy's page, may pass.
"""

import re
from http import HTTPStatus
from typing import Any

import msgspec

from mainstem.common.errors import MainstemError
from mainstem.ingest.providers.protocol import FetchError, RefusedError, RestrictedError

INVALID_REQUEST = "invalid_request_error"
MISSING = "resource_missing"
NO_ACCESS = "account_invalid"
"""Code of a 403 for another account's key: no missing permission. https://docs.stripe.com/error-codes"""

PASSING = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
"""Statuses that say nothing of the object: a key can be mended, a limit or a proxy passes."""

PASSING_CODES = frozenset({MISSING, "rate_limit", "lock_timeout"})
"""Codes of errors that another attempt may not meet. https://docs.stripe.com/error-codes"""

PERMISSION = re.compile(r"'(rak_[a-z_]{1,60})'")
"""Name of a restricted key's missing permission, in the message of a 403."""
CODE = re.compile(r"[a-z_]{1,60}")

PARTS = {"subscription": ("subscription_item", "subscription"), "invoice": ("line_item", "invoice")}
"""By kind of object: the kind of its parts, and the field in which each part names the object."""


class MissingError(MainstemError):
    """Stripe's own statement that the account has no object of the requested id."""


class _Refusal(msgspec.Struct):
    type: str
    code: str | None = None
    param: str | None = None
    message: str | None = None


class _Refused(msgspec.Struct):
    error: _Refusal


_read_refusal = msgspec.json.Decoder(_Refused).decode


def explain_refusal(status: int, body: str | None, kind: str | None = None) -> MainstemError:
    """Return what an answer other than 2xx says: MissingError, RefusedError or FetchError.

    `kind` is the kind of object that the path named, None for a list. A 404 for an unrecognized URL has the
    same type as one for a missing object, but no code. https://docs.stripe.com/api/errors
    """
    refusal = _find_refusal(body)
    if refusal is None:
        return FetchError(f"Stripe answered {status}, without an error object of its own")
    if kind is not None and status == HTTPStatus.NOT_FOUND and _is_missing(refusal, kind):
        return MissingError(MISSING)
    code = f" ({refusal.code})" if CODE.fullmatch(refusal.code or "") else ""
    is_client_error = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    is_final = (
        is_client_error
        and status not in PASSING
        and refusal.type == INVALID_REQUEST
        and refusal.code not in PASSING_CODES
    )
    return (RefusedError if is_final else FetchError)(f"Stripe answered {status}{code}")


def explain_no_identity(status: int, body: str | None) -> FetchError | RestrictedError:
    """Return why Stripe does not show the account: the key may not read it, or something that passes."""
    refusal = _find_refusal(body)
    is_restricted = (
        status == HTTPStatus.FORBIDDEN
        and refusal is not None
        and refusal.type == INVALID_REQUEST
        and refusal.code != NO_ACCESS
    )
    if not is_restricted or refusal is None:
        return FetchError(f"Stripe did not show the account: it answered {status}")
    named = PERMISSION.search(refusal.message or "")
    return RestrictedError(named[1] if named else None)


def read_object(kind: str, object_id: str, body: bytes) -> dict[str, Any]:
    """Return the requested object; the parts of its nested list that came along are its own.

    Raises:
        FetchError: the answer is something else.
    """
    content = _decode(body)
    if not isinstance(content, dict) or content.get("object") != kind or content.get("id") != object_id:
        raise FetchError(f"Stripe's answer is not the {kind} that was requested")
    return content


def read_page(kind: str, object_id: str, body: bytes) -> tuple[list[dict[str, Any]], bool]:
    """Return a page of an object's parts, and whether more follow.

    A page is read only where parts are known to follow, so that an empty one proves nothing either.

    Raises:
        FetchError: the answer is no such page, or holds parts of another object.
    """
    page = _decode(body)
    is_page = isinstance(page, dict) and page.get("object") == "list" and page.get("data")
    if not is_page or not isinstance(page.get("has_more"), bool):
        raise FetchError(f"Stripe's answer is no page of the {kind}'s list")
    check_parts(kind, object_id, page.get("data"))
    return page["data"], page["has_more"]


def check_parts(kind: str, object_id: str, parts: Any) -> None:
    """Demand that a nested list holds parts of this object alone.

    Raises:
        FetchError: it does not.
    """
    part, parent = PARTS[kind]
    is_own = isinstance(parts, list) and all(
        isinstance(one, dict)
        and one.get("object") == part
        and isinstance(one.get("id"), str)
        and one.get(parent, object_id) in (object_id, None)
        for one in parts
    )
    if not is_own:
        raise FetchError(f"Stripe's answer lists something else than the {kind}'s {part}s")


def read_identity(body: bytes) -> str:
    """Return the account's id.

    Raises:
        FetchError: the answer is no account.
    """
    content = _decode(body)
    if not isinstance(content, dict) or content.get("object") != "account":
        raise FetchError("Stripe's answer is no account")
    given = content.get("id")
    if not isinstance(given, str) or not given.startswith("acct_"):
        raise FetchError("Stripe's answer is an account without an id")
    return given


def _is_missing(refusal: _Refusal, kind: str) -> bool:
    """Return whether the error is about the path's object: its `param` is `id`, or named as the kind."""
    return (
        refusal.type == INVALID_REQUEST
        and refusal.code == MISSING
        and refusal.param in (None, "", "id", kind)
    )


def _find_refusal(body: str | None) -> _Refusal | None:
    try:
        return _read_refusal(body or "").error
    except (msgspec.DecodeError, RecursionError):
        return None


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise FetchError("Stripe's answer is not JSON") from None
