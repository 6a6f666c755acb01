"""Answers of the guard to what never becomes a request: status, label and text of each reason."""

import json
import time
from dataclasses import dataclass
from http import HTTPStatus

import structlog

from mainstem.common.errors import PROBLEM
from mainstem.common.http.connections.limits import HEAD_BYTES, HEADERS, TARGET_BYTES, TRAILER_BYTES, refused

LOG_SECONDS = 1.0
"""A reason is logged once in this time, with its count: an attacker must not fill the log."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Reason why a connection is refused: status, label for log and metric, and what to do about it."""

    status: HTTPStatus
    reason: str
    detail: str


MALFORMED = Refusal(HTTPStatus.BAD_REQUEST, "malformed", "the request is not well-formed HTTP/1.1")
FRAMING = Refusal(
    HTTPStatus.BAD_REQUEST,
    "framing",
    "send either one Content-Length of digits or Transfer-Encoding: chunked, once",
)
REPEATED = Refusal(HTTPStatus.BAD_REQUEST, "repeated", "send each header that frames or signs a request once")
NO_HOST = Refusal(HTTPStatus.BAD_REQUEST, "host", "send exactly one valid Host header")
TARGET = Refusal(
    HTTPStatus.BAD_REQUEST, "target", "the request target must be a path, or name the Host of the request"
)
CONNECT = Refusal(HTTPStatus.NOT_IMPLEMENTED, "method", "CONNECT is not supported")
VERSION = Refusal(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "version", "use HTTP/1.1")
EXPECTATION = Refusal(HTTPStatus.EXPECTATION_FAILED, "expect", "only Expect: 100-continue is supported")
PIPELINE = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "pipelined", "wait for answers before sending further requests"
)
LONG_TARGET = Refusal(
    HTTPStatus.REQUEST_URI_TOO_LONG, "target_bytes", f"path and query may have {TARGET_BYTES} bytes at most"
)
LARGE_HEAD = Refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "head_bytes",
    f"the headers may have {HEAD_BYTES} bytes and {HEADERS} lines at most",
)
LARGE_FRAMING = Refusal(
    HTTPStatus.BAD_REQUEST,
    "chunk_bytes",
    f"chunk extensions and trailers may have {TRAILER_BYTES} bytes at most",
)
SLOW_HEAD = Refusal(HTTPStatus.REQUEST_TIMEOUT, "head_seconds", "the headers did not arrive in time")
SLOW_BODY = Refusal(HTTPStatus.REQUEST_TIMEOUT, "body_seconds", "the body did not arrive in time")
UNREAD_BODY = Refusal(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "late_body", "the body goes on after the answer; send it sooner"
)
UNREAD = Refusal(HTTPStatus.REQUEST_TIMEOUT, "write_seconds", "the answer was not read in time")
CROWDED = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "connections", "too many connections are open; close idle ones and retry"
)


class RefusalLog:
    """Log and metric of the refusals of one process."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._logged_at: dict[str, float] = {}

    def add(self, refusal: Refusal) -> None:
        """Count a refusal; log its reason unless that was logged within the last second."""
        reason, now = refusal.reason, time.monotonic()
        refused.add(1, {"reason": reason})
        self._counts[reason] = self._counts.get(reason, 0) + 1
        if now - self._logged_at.get(reason, -LOG_SECONDS) >= LOG_SECONDS:
            self._logged_at[reason] = now
            log.info("request.refused", reason=reason, count=self._counts.pop(reason))


def response(refusal: Refusal) -> bytes:
    """Return the whole response, as problem details (RFC 9457); the connection closes after it."""
    problem = {
        "type": "about:blank",
        "title": refusal.status.phrase,
        "status": int(refusal.status),
        "detail": refusal.detail,
    }
    body = json.dumps(problem).encode()
    lines = [
        f"HTTP/1.1 {int(refusal.status)} {refusal.status.phrase}",
        f"content-type: {PROBLEM}",
        f"content-length: {len(body)}",
        "connection: close",
        *(["retry-after: 1"] if refusal.status is HTTPStatus.SERVICE_UNAVAILABLE else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
