"""Answers that CTMS gives to Pub/Sub's pushes, derived from the objects that `/stripe` took; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from tests.conformance.comparison import differs
from tests.conformance.ctms.payloads import KINDS
from tests.conformance.verdict import Notes

Json = Any

REFUSED = "Accepted but not processed"
UNKNOWN = "Unknown payload type, do not send again."
ERRORS = "Errors processing the data, do not send again."


@dataclass(frozen=True)
class PushAnswer:
    """Status and body; `is_crash` if CTMS answers 500 instead, so that its message is not known."""

    status: int
    body: Mapping[str, Json]
    is_crash: bool = False


def answer_to(payload: Json, count: int, refused: Sequence[Json]) -> PushAnswer:
    """Return the answer to a push of which `count` objects were taken, and `refused` were not.

    CTMS skips an object of an unknown kind (1.9), and crashes on what is no object.
    """
    if not isinstance(payload, Mapping):
        return PushAnswer(HTTPStatus.ACCEPTED, {"status": REFUSED, "message": UNKNOWN})
    is_crash = not all(isinstance(one, Mapping) and isinstance(one.get("object"), str) for one in refused)
    if is_crash or any(one["object"] in KINDS for one in refused):
        return PushAnswer(HTTPStatus.ACCEPTED, {"status": REFUSED, "message": ERRORS}, is_crash)
    return PushAnswer(HTTPStatus.OK, {"status": "OK", "count": count})


def answer_differs(
    expected: Mapping[str, Json], answer: PushAnswer, now: datetime, notes: Notes
) -> str | None:
    """Compare what a case expects of a push with CTMS's answer."""
    if expected.get("status") == HTTPStatus.INTERNAL_SERVER_ERROR and answer.status == HTTPStatus.ACCEPTED:
        notes.deviate("push_crash")
        return None
    if expected.get("status", answer.status) != answer.status:
        return f"status {expected['status']} expected, {answer.status} found: {dict(answer.body)}"
    if "json" not in expected:
        return None
    body = dict(answer.body)
    if answer.is_crash:
        notes.not_compared.append("json.message (of a push on which CTMS crashes)")
        body["message"] = expected["json"].get("message", ERRORS)
    return differs(expected["json"], body, now, "body")
