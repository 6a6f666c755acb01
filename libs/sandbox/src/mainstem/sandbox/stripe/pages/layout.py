"""Layout of every page, and the response made of a page."""

from functools import cache
from http import HTTPStatus
from importlib.resources import files

from starlette.responses import RedirectResponse, Response

from mainstem.sandbox.stripe.pages.markup import Child, Markup, tag

_HEADERS = {
    "Cache-Control": "no-store",
    # Forms lead to redirects to the application, so `form-action` stays open.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "frame-ancestors 'none'",
    # The address of a page is all that is needed to act in it.
    "Referrer-Policy": "no-referrer",
}


@cache
def _style() -> Markup:
    css = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return tag("style", Markup(css))


def page(title: str, *parts: Child, status: int = HTTPStatus.OK) -> Response:
    """Return a page with this title, which is its heading as well."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        _style(),
    )
    header = tag("header", "Sandbox: no money moves here.")
    body = tag("body", header, tag("main", tag("h1", title), *parts))
    html = f"<!doctype html>{tag('html', head, body, lang='en').html}\n"
    return Response(html, status, _HEADERS, media_type="text/html; charset=utf-8")


def alert(words: str | None) -> Markup | None:
    """Return what went wrong, None if nothing did."""
    return None if words is None else tag("p", words, id="message", role="alert")


def notice(words: str) -> Markup:
    """Return what has come to pass."""
    return tag("p", words, id="message", role="status")


def redirect(url: str) -> Response:
    """Return the answer to a form that was accepted."""
    return RedirectResponse(url, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
