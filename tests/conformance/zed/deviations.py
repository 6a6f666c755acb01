"""Where Mainstem answers otherwise than Zed on purpose, each with its reason; nothing else passes."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Answered:
    """What is answered instead, and why."""

    status: int
    detail: str
    reason: str


_NOT_THERE = "what is not there is the caller's matter, and a 500 would have it retried"
_NOT_CLEAR = "the state of the account is in the way, and a 500 would have it retried"
_BEARER = "tokens are OAuth's, so that `Authorization: token X` of a case is sent as `Bearer X`"

DEVIATIONS: Mapping[tuple[int, str], Answered] = {
    (500, "user not found"): Answered(404, "user not found", _NOT_THERE),
    (500, "billing customer not found"): Answered(404, "billing customer not found", _NOT_THERE),
    (500, "subscription not found"): Answered(404, "subscription not found", _NOT_THERE),
    (500, "user has no active subscriptions"): Answered(409, "user has no active subscriptions", _NOT_CLEAR),
    (500, "user has multiple active subscriptions"): Answered(
        409, "user has multiple active subscriptions", _NOT_CLEAR
    ),
    (400, "missing authorization header"): Answered(401, "Not authenticated", _BEARER),
    (400, "invalid authorization header"): Answered(401, "Not authenticated", _BEARER),
    (401, "invalid authorization token"): Answered(401, "Could not validate credentials", _BEARER),
}
"""By the status and the text that Zed answers with."""


def allowed(status: int, text: str | None, found_status: int, found_detail: str | None) -> str | None:
    """Return how an answer deviates, None if it does so in no way that is listed here."""
    instead = DEVIATIONS.get((status, text or ""))
    if instead is None or (instead.status, instead.detail) != (found_status, found_detail):
        return None
    return f"{instead.status} {instead.detail!r} for {status} {text!r}"
