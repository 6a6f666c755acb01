"""Return page of a checkout: its outcome in one sentence, as plain HTML."""

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from string import Template

from mainstem.billing.checkout.returns import ReturnOutcome, ReturnState

REFRESH_SECONDS = 5

_WORDS: Mapping[ReturnState, tuple[HTTPStatus, str, str]] = {
    ReturnState.ACTIVE: (HTTPStatus.OK, "Thank you", "Your subscription is active."),
    ReturnState.SETTING_UP: (
        HTTPStatus.OK,
        "Thank you",
        "Your purchase is complete; your subscription is being set up. This page looks again by itself.",
    ),
    ReturnState.PENDING: (
        HTTPStatus.OK,
        "Payment pending",
        "Your order is placed, but your payment has not been confirmed yet. This page looks again by itself.",
    ),
    ReturnState.FAILED: (
        HTTPStatus.OK,
        "Payment failed",
        "Your payment did not go through; your subscription has not started. You can go back and try again.",
    ),
    ReturnState.ENDED: (
        HTTPStatus.OK,
        "Subscription not active",
        "This checkout was completed, but its subscription is not active now.",
    ),
    ReturnState.OPEN: (HTTPStatus.OK, "Not finished", "This checkout is still open; nothing was charged."),
    ReturnState.EXPIRED: (
        HTTPStatus.OK,
        "Checkout expired",
        "This checkout has expired; nothing was charged.",
    ),
    ReturnState.UNKNOWN: (HTTPStatus.NOT_FOUND, "Not found", "There is no such checkout."),
    ReturnState.UNREACHABLE: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Not known yet",
        "We cannot ask about your payment right now. This page looks again by itself.",
    ),
}

_LOOKS_AGAIN = {ReturnState.SETTING_UP, ReturnState.PENDING, ReturnState.UNREACHABLE}

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
    # The address has the session's id, which admits to its state.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def render(outcome: ReturnOutcome, home: str) -> tuple[HTTPStatus, str]:
    """Return the page's HTTP status and HTML; `home` is the link to go on with, "" for none."""
    status, title, words = _WORDS[outcome.state]
    links = [_link("continue", "Continue to checkout", outcome.url), _link("home", "Continue", home)]
    refresh = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">\n'
    return status, _PAGE.substitute(
        title=title,
        words=words,
        state=outcome.state,
        style=_STYLE,
        refresh=refresh if outcome.state in _LOOKS_AGAIN else "",
        links="".join(links),
    )


def _link(name: str, words: str, url: str | None) -> str:
    return f'<p><a id="{name}" href="{escape(url)}">{words}</a></p>\n' if url else ""
