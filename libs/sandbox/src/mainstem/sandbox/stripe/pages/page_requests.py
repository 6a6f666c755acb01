"""Requests for pages: each is one step of the account, as a request to the API is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from mainstem.sandbox.stripe.edge import calendar
from mainstem.sandbox.stripe.pages.layout import alert, page
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.wire.errors import StripeError


@dataclass(frozen=True)
class PageRequest:
    """A browser's request for a page: the account, the path's parameters and the submitted form."""

    account: StripeAccount
    root: str
    """The path under which the stand-in is mounted."""
    names: dict[str, str]
    """Parameters of the path, by name."""
    form: dict[str, str]
    """Fields of the posted form, else of the query."""

    @property
    def id(self) -> str:
        """The session that the path names."""
        return self.names["id"]


Handler = Callable[[PageRequest], Response]
"""Function that acts on a request and returns a page or a redirect."""


def endpoint(
    account: Callable[[], StripeAccount], handler: Handler
) -> Callable[[Request], Awaitable[Response]]:
    """Return the Starlette endpoint of this handler; it reads the account at each request."""

    async def answer(request: Request) -> Response:
        return _take_step(await _read(request, account()), handler)

    return answer


async def _read(request: Request, account: StripeAccount) -> PageRequest:
    sent = (await request.body()).decode("utf-8", "replace") if request.method == "POST" else ""
    form = dict(parse_qsl(sent or request.url.query, keep_blank_values=True))
    return PageRequest(account, request.scope.get("root_path", ""), dict(request.path_params), form)


def _take_step(page_request: PageRequest, handler: Handler) -> Response:
    account = page_request.account
    try:
        calendar.fall_due(account, account.now)
        return handler(page_request)
    except StripeError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return page("There is nothing here", alert(str(error)), status=HTTPStatus.NOT_FOUND)
        return page("This did not work", alert(str(error)), status=error.status)
    finally:
        # Before anything else can run: what is answered and what is sent has been kept.
        account.archive.commit()
