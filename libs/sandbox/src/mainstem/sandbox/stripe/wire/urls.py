"""URLs to which a person is redirected: read and checked."""

from typing import Any
from urllib.parse import urlsplit

from mainstem.sandbox.stripe.wire import params
from mainstem.sandbox.stripe.wire.errors import StripeError

_LONGEST = 5_000


def web(value: Any, name: str) -> str:
    """Read an address of the web; anything else, such as a script, is refused."""
    url = params.identifier(value, name)
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and len(url) <= _LONGEST
    except ValueError:
        is_web = False
    if not is_web:
        raise StripeError("Not a valid URL", code="url_invalid", param=name)
    return url
