"""Rules for the head of a request: one framing, one Host, one meaning of the target (RFC 9112). Pure."""

import re
from collections.abc import Mapping, Sequence

from mainstem.common.http.connections.refusals import (
    CONNECT,
    EXPECTATION,
    FRAMING,
    NO_HOST,
    TARGET,
    VERSION,
    Refusal,
)

CONTENT_LENGTH = b"content-length"
TRANSFER_ENCODING = b"transfer-encoding"
EXPECT = b"expect"
HOST = b"host"
SINGLE = frozenset({HOST, CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT, b"authorization", b"stripe-signature"})
"""Headers that frame a request, or say who sends it; a second line of one of them is refused."""

VERSIONS = ("1.0", "1.1")
UPGRADE = frozenset({b"upgrade", b"http2-settings", b"connection"})
"""Headers that offer another protocol."""

_LENGTH = re.compile(rb"[0-9]{1,19}")
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+;=:\[\]-]{0,255}")
_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)(?=[/?]|$)", re.IGNORECASE)


def find_fault(version: str, method: bytes, target: bytes, single: Mapping[bytes, bytes]) -> Refusal | None:
    """Return why a head is refused, or None.

    Args:
        version: as in `1.1`.
        method: as sent.
        target: the request target as sent.
        single: the values of the `SINGLE` headers that are there.
    """
    if version not in VERSIONS:
        return VERSION
    if method == b"CONNECT":
        return CONNECT
    if single.get(EXPECT, b"100-continue").lower() != b"100-continue":
        return EXPECTATION
    return _framing_fault(version, single) or _address_fault(target, single.get(HOST))


def without_upgrade(
    version: str, method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> bytes:
    """Return a checked head without its offer of another protocol; its connection is to close."""
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode())]
    lines += [b"%b: %b" % (name, value) for name, value in headers if name not in UPGRADE]
    return b"\r\n".join([*lines, b"connection: close", b"", b""])


def _framing_fault(version: str, single: Mapping[bytes, bytes]) -> Refusal | None:
    length, coding = single.get(CONTENT_LENGTH), single.get(TRANSFER_ENCODING)
    if length is not None and (coding is not None or not _LENGTH.fullmatch(length)):
        return FRAMING
    if coding is not None and (coding.lower() != b"chunked" or version == "1.0"):
        return FRAMING
    return None


def _address_fault(target: bytes, host: bytes | None) -> Refusal | None:
    if host is None or not _HOST.fullmatch(host):
        return NO_HOST
    if b"#" in target:
        return TARGET
    if target.startswith(b"/"):
        return None
    absolute = _ABSOLUTE.match(target)
    return None if absolute and absolute[1].lower() == host.lower() else TARGET
