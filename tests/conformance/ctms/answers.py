"""Answers of the gateway beside those of a case: status, headers, body; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from tests.conformance.comparison import differs, first
from tests.conformance.ctms.payloads import ENDPOINT
from tests.conformance.verdict import Notes

from mainstem.ingest.providers.stripe.bare_objects import UNREADABLE, UNRECOGNIZED

Json = Any

HEADERS = {"location": "location", "www_authenticate": "www-authenticate"}
TOKEN_PATH = "/token"


@dataclass(frozen=True)
class Answer:
    """Answer to one request, the body as JSON where it is JSON."""

    path: str
    status: int
    body: Json
    headers: Mapping[str, str]


def answer_differs(expected: Mapping[str, Json], answer: Answer, now: datetime, notes: Notes) -> str | None:
    """Compare an answer exactly; what the case does not say of it is noted."""
    status = expected.get("status", answer.status)
    for name, said in (("status", "status"), ("json", "body")):
        if name not in expected:
            notes.not_compared.append(f"the {said} of {answer.path} (not in the case)")
    if _is_refused_crash(status, answer):
        notes.deviate("crash")
        return problem_differs(answer)
    if status != answer.status:
        return f"status {status} expected, {answer.status} found: {str(answer.body)[:200]}"
    if difference := first(_header_differs(name, expected, answer) for name in HEADERS):
        return difference
    if "json" not in expected:
        return None
    if answer.status >= HTTPStatus.BAD_REQUEST:
        return _error_differs(expected["json"], answer, now, notes)
    body = answer.body
    if answer.path == TOKEN_PATH and isinstance(body, Mapping) and isinstance(body.get("scope"), str):
        body = {name: value for name, value in body.items() if name != "scope"}
        notes.deviate("token_scope")
    return differs(expected["json"], body, now, "body")


def problem_differs(answer: Answer, members: Iterable[str] = ()) -> str | None:
    """Compare an error with the shape of a problem, which may have further members."""
    if not isinstance(answer.body, Mapping):
        return f"body: a problem expected, {str(answer.body)[:200]!r} found"
    found = answer.body
    phrase = HTTPStatus(answer.status).phrase
    wanted = {"type": "about:blank", "title": phrase, "status": answer.status}
    for name, value in wanted.items():
        if found.get(name) != value:
            return f"body.{name}: {value!r} expected, {found.get(name)!r} found"
    if not isinstance(found.get("detail"), str):
        return "body.detail is no text"
    stray = sorted(found.keys() - {*wanted, "detail", *members})
    return f"body.{stray[0]} is stray" if stray else None


def _is_refused_crash(status: int, answer: Answer) -> bool:
    """Whether an object on which CTMS crashes is refused in CTMS's words."""
    detail = answer.body.get("detail") if isinstance(answer.body, Mapping) else None
    codes = (status, answer.status)
    is_crash = codes == (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_REQUEST)
    return is_crash and answer.path == ENDPOINT and detail in (UNREADABLE, UNRECOGNIZED)


def _header_differs(name: str, expected: Mapping[str, Json], answer: Answer) -> str | None:
    found = answer.headers.get(HEADERS[name])
    if found == expected.get(name):
        return None
    return f"{HEADERS[name]}: {expected.get(name)!r} expected, {found!r} found"


def _error_differs(expected: Json, answer: Answer, now: datetime, notes: Notes) -> str | None:
    """Compare a problem with CTMS's error, which is an object of `detail`."""
    refused = _refused(expected)
    members = ["errors"] if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY else []
    if answer.path == TOKEN_PATH:
        members.append("error")
    if difference := problem_differs(answer, members):
        return difference
    notes.deviate("problem")
    if "error" in answer.body:
        notes.deviate("token_error")
    if refused is None:
        return differs(expected, {"detail": answer.body["detail"]}, now, "body")
    if stray := sorted(expected.keys() - {"detail"}):
        return f"body.{stray[0]} is absent"
    notes.deviate("refused_fields")
    found = set(_places(answer.body.get("errors", [])))
    for name, places in (("absent", set(refused) - found), ("too much", found - set(refused))):
        if places:
            return f"the refusal of {min(places)} is {name}"
    return None


def _refused(expected: Json) -> list[tuple[str, ...]] | None:
    """Return the places of the refused fields, None where the refusal is a text."""
    detail = expected.get("detail") if isinstance(expected, Mapping) else None
    if isinstance(detail, Mapping):
        detail = detail.get("errors")
    return _places(detail) if isinstance(detail, list) else None


def _places(errors: Iterable[Mapping[str, Json]]) -> list[tuple[str, ...]]:
    return [tuple(map(str, error["loc"])) for error in errors]
