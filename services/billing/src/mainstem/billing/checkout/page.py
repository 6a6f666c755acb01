"""The page that people come back to from a checkout: what is so, in one sentence, as plain HTML."""

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from string import Template

from mainstem.billing.checkout.returns import Arrival, State

REFRESH_SECONDS = 5

_WORDS: Mapping[State, tuple[HTTPStatus, str, str]] = {
    State.ACTIVE: (HTTPStatus.OK, "Thank you", "Your subscription is active."),
    State.SETTING_UP: (
        HTTPStatus.OK,
        "Thank you",
        "Your purchase is complete; your subscription is being set up. This page looks again by itself.",
    ),
    State.PENDING: (
        HTTPStatus.OK,
        "Payment pending",
        "Your order is placed, but your payment has not been confirmed yet. This page looks again by itself.",
    ),
    State.FAILED: (
        HTTPStatus.OK,
        "Payment failed",
        "Your payment did not go through; your subscription has not started. You can go back and try again.",
    ),
    State.ENDED: (
        HTTPStatus.OK,
        "Subscription not active",
        "This checkout was completed, but its subscription is not active now.",
    ),
    State.OPEN: (HTTPStatus.OK, "Not finished", "This checkout is still open; nothing was charged."),
    State.EXPIRED: (HTTPStatus.OK, "Checkout expired", "This checkout has expired; nothing was charged."),
    State.UNKNOWN: (HTTPStatus.NOT_FOUND, "Not found", "There is no such checkout."),
    State.UNREACHABLE: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Not known yet",
        "We cannot ask about your payment right now. This page looks again by itself.",
    ),
}

_LOOKS_AGAIN = {State.SETTING_UP, State.PENDING, State.UNREACHABLE}

_STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem}"
    "a{display:inline-block;margin-top:1rem}"
)

_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
$refresh<title>$title</title>
<style>$style</style>
</head>
<body>
<main id="arrival" data-state="$state">
<h1>$title</h1>
<p role="status">$words</p>
$links</main>
</body>
</html>
"""
)

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
    # The address names the session, which is nobody else's business.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def render(arrival: Arrival, home: str) -> tuple[HTTPStatus, str]:
    """Return the page's status and text; `home` is where people go on from here, if anywhere."""
    status, title, words = _WORDS[arrival.state]
    links = [_link("continue", "Continue to checkout", arrival.url), _link("home", "Continue", home)]
    refresh = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">\n'
    return status, _PAGE.substitute(
        title=title,
        words=words,
        state=arrival.state,
        style=_STYLE,
        refresh=refresh if arrival.state in _LOOKS_AGAIN else "",
        links="".join(links),
    )


def _link(name: str, words: str, url: str | None) -> str:
    return f'<p><a id="{name}" href="{escape(url)}">{words}</a></p>\n' if url else ""
