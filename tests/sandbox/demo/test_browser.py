"""The demo's browser, against pages of a small server."""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

import pytest
from serving import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from mainstem.sandbox.demo.browser import NotOnPageError, open_browser

AGAIN = '<meta http-equiv="refresh" content="0.01"><p role="status">Not yet.</p>'
SETTLED = '<p role="status">Done.</p>'
ORDER = """
<h1>Order</h1>
<form method="post"><input id="kind" name="kind" value="tea">
<select id="size" name="size"><option value="small">S</option><option value="large">L</option></select>
<button id="order" name="action" value="buy">Order</button></form>
"""


def site(**pages: Callable[[Request], Awaitable[Response]]) -> Starlette:
    """Return a server of these pages; `order` takes a form as well."""
    return Starlette(
        routes=[Route(f"/{name}", page, methods=["GET", "POST"]) for name, page in pages.items()]
    )


async def test_a_page_that_looks_again_by_itself_is_looked_at_until_it_is_settled() -> None:
    left = [SETTLED, AGAIN, AGAIN]

    async def arrival(_: Request) -> Response:
        return HTMLResponse(left.pop())

    async with serving(site(arrival=arrival)) as url, open_browser() as browser:
        await browser.open(f"{url}/arrival")
        assert browser.page.says == "Not yet."
        await browser.stay()
    assert (browser.page.says, left) == ("Done.", [])


async def test_a_form_sends_what_it_shows_and_what_was_typed_and_a_redirect_leads_to_another_site() -> None:
    sent: list[dict[str, str]] = []

    async def done(_: Request) -> Response:
        return HTMLResponse(SETTLED)

    async with serving(site(done=done)) as elsewhere:

        async def order(request: Request) -> Response:
            if request.method == "GET":
                return HTMLResponse(ORDER)
            sent.append(dict(parse_qsl((await request.body()).decode())))
            return RedirectResponse(f"{elsewhere}/done", 303)

        async with serving(site(order=order)) as url, open_browser() as browser:
            await browser.open(f"{url}/order")
            await browser.click("order", kind="coffee")
            assert (browser.url, browser.page.says) == (f"{elsewhere}/done", "Done.")
    assert sent == [{"kind": "coffee", "size": "small", "action": "buy"}]


async def test_what_is_not_on_a_page_cannot_be_clicked() -> None:
    async def order(_: Request) -> Response:
        return HTMLResponse(ORDER)

    async with serving(site(order=order)) as url, open_browser() as browser:
        await browser.open(f"{url}/order")
        with pytest.raises(NotOnPageError, match="no button `pay` on the page 'Order'"):
            await browser.click("pay")
        with pytest.raises(NotOnPageError, match="no link `away`"):
            await browser.follow("away")
