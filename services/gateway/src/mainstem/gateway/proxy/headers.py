"""Header fields in transit, as bytes: what is dropped and added on the way to an upstream and back."""

import re
from collections.abc import Iterable, Sequence

from mainstem.common.errors import BadRequestError

Field = tuple[bytes, bytes]
"""Name in lower case, and value."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields of one connection (RFC 9110, 7.6.1), besides those that its `Connection` field names."""

KEPT_FROM_UPSTREAM = HOP_BY_HOP | {
    b"authorization",
    b"baggage",
    b"content-length",
    b"cookie",
    b"expect",
    b"forwarded",
    b"host",
    b"traceparent",
    b"tracestate",
    b"x-real-ip",
    b"x-request-id",
}
"""The caller's credentials, its framing, and the fields that the gateway writes itself."""

KEPT_FROM_CALLER = HOP_BY_HOP | {b"content-length", b"date", b"server", b"x-request-id"}
"""The fields that the gateway or its server writes on every answer."""

FORWARDED = b"x-forwarded-"
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
LENGTH = re.compile(rb"[0-9]{1,19}")
NOT_IN_TARGET = re.compile(rb"[\x00-\x20\x7f]")


def read_length(fields: Sequence[Field]) -> int | None:
    """Return the length that a request declares for its body, or None if it declares none.

    Raises:
        BadRequestError: another server could read another length in these fields.
    """
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise BadRequestError("send one Content-Length or one Transfer-Encoding, not several")
    if codings and codings[0].strip(b" \t").lower() != b"chunked":
        raise BadRequestError("the only Transfer-Encoding here is chunked")
    if lengths and not LENGTH.fullmatch(lengths[0].strip(b" \t")):
        raise BadRequestError("Content-Length must be a number of 1 to 19 digits")
    return int(lengths[0]) if lengths else None


def read_host(fields: Sequence[Field]) -> bytes:
    """Return the host that a request names.

    Raises:
        BadRequestError: it names none, or several.
    """
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) != 1:
        raise BadRequestError("send exactly one Host header")
    return hosts[0]


def frame(method: str, whole: bytes | None, length: int | None) -> Sequence[Field]:
    """Return the field that frames a request's body on its way to the upstream; none where there is no body.

    Args:
        method: the request's.
        whole: all of the body, where it is known; else None.
        length: the length that is known of a body that still arrives; None for a chunked one.
    """
    if whole is not None:
        length = len(whole)
        if not length and method not in WITH_BODY:
            return ()
    elif length is None:
        return ((b"transfer-encoding", b"chunked"),)
    return ((b"content-length", b"%d" % length),)


def build_head(method: str, target: bytes, fields: Iterable[Field]) -> bytes:
    """Return a request's head as it goes to the upstream.

    Raises:
        BadRequestError: the upstream could read another request in it.
    """
    if NOT_IN_TARGET.search(target):
        raise BadRequestError("the path or query has a space or a control character; percent-encode it")
    lines = [b"%b: %b\r\n" % field for field in fields]
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode("ascii"), target, b"".join(lines))
    # Counting is ten times faster than a look at each value.
    expected = len(lines) + 2
    if head.count(b"\n") != expected or head.count(b"\r") != expected or b"\0" in head:
        raise BadRequestError("a header has a control character")
    return head


def to_upstream(fields: Sequence[Field]) -> list[Field]:
    """Return the caller's fields that an upstream gets."""
    dropped = KEPT_FROM_UPSTREAM | _named_by_connection(fields)
    return [field for field in fields if field[0] not in dropped and not field[0].startswith(FORWARDED)]


def to_caller(fields: Sequence[Field], length: int | None) -> list[Field]:
    """Return an upstream's fields that a caller gets, and the length that was read, if there is any."""
    dropped = KEPT_FROM_CALLER | _named_by_connection(fields)
    kept = [field for field in fields if field[0] not in dropped]
    if length is not None:
        kept.append((b"content-length", b"%d" % length))
    return kept


def _named_by_connection(fields: Sequence[Field]) -> frozenset[bytes]:
    return frozenset(
        name.strip(b" \t").lower()
        for field, value in fields
        if field == b"connection"
        for name in value.split(b",")
    )
