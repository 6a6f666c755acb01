"""Reading of request bodies from the server: within a limit, whole before the handler runs."""

import re
from collections.abc import Callable, Iterable

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from mainstem.common.errors import BadRequestError, ContentTooLargeError

DISCARDED_BYTES = 1024
"""Body bytes that an endpoint without a body reads and discards."""

_LENGTH = re.compile(r"[0-9]{1,18}")


def parse_length(text: str) -> int:
    """Return the number of bytes that a Content-Length header declares.

    Raises:
        BadRequestError: it is no number, or one of more than 18 digits.
    """
    if not _LENGTH.fullmatch(text):
        raise BadRequestError("the Content-Length header must be a number of bytes, of 18 digits at most")
    return int(text)


def check_declared(headers: Iterable[tuple[bytes, bytes]], limit_bytes: int) -> None:
    """Refuse a body by its Content-Length header, before any of it is read.

    Raises:
        BadRequestError: the header cannot be read.
        ContentTooLargeError: the body would be over the limit.
    """
    for name, value in headers:
        if name == b"content-length" and parse_length(value.decode("latin-1")) > _most(limit_bytes):
            raise _too_large(limit_bytes)


async def read_body(receive: Receive, limit_bytes: int, hold: Callable[[int], None]) -> bytes:
    """Return the whole body; an empty one where the limit is 0.

    Args:
        receive: gives the body's parts.
        limit_bytes: more than that is refused as soon as it has come.
        hold: called with the size of each part that is kept.

    Raises:
        ClientDisconnect: the caller left.
        ContentTooLargeError: the body is over the limit.
    """
    # One buffer instead of a list: an object for each part would multiply the bytes of a slow caller's body.
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        if len(body) + len(part) > _most(limit_bytes):
            raise _too_large(limit_bytes)
        hold(len(part))
        if not message.get("more_body", False):
            whole = bytes(body) + part if body else part
            return whole if limit_bytes else b""
        body += part


def _most(limit_bytes: int) -> int:
    return limit_bytes or DISCARDED_BYTES


def _too_large(limit_bytes: int) -> ContentTooLargeError:
    if limit_bytes == 0:
        return ContentTooLargeError("this endpoint takes no body; send the request without one")
    return ContentTooLargeError(f"the body may have {limit_bytes} bytes at most")
