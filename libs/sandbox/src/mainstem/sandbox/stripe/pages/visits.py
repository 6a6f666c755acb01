"""The edge of the pages: a request is one step of the account, as it is at the API's edge."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from mainstem.sandbox.stripe.edge import calendar
from mainstem.sandbox.stripe.pages.layout import alert, page
from mainstem.sandbox.stripe.state.account import Account
from mainstem.sandbox.stripe.wire.errors import StripeError


@dataclass(frozen=True)
class Visit:
    """What a person's browser asks for, and what it sends along."""

    account: Account
    root: str
    """The path under which the stand-in is mounted."""
    names: dict[str, str]
    """What stands in the path."""
    form: dict[str, str]
    """What was typed, or stands in the query."""

    @property
    def id(self) -> str:
        """The session that the path names."""
        return self.names["id"]


Handler = Callable[[Visit], Response]
"""Acts, and answers with a page or a redirect."""


def endpoint(account: Callable[[], Account], handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers a request by this handler, in the account that there is then."""

    async def answer(request: Request) -> Response:
        return _step(await _visit(request, account()), handler)

    return answer


async def _visit(request: Request, account: Account) -> Visit:
    sent = (await request.body()).decode("utf-8", "replace") if request.method == "POST" else ""
    form = dict(parse_qsl(sent or request.url.query, keep_blank_values=True))
    return Visit(account, request.scope.get("root_path", ""), dict(request.path_params), form)


def _step(visit: Visit, handler: Handler) -> Response:
    account = visit.account
    try:
        calendar.fall_due(account, account.now)
        return handler(visit)
    except StripeError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return page("There is nothing here", alert(str(error)), status=HTTPStatus.NOT_FOUND)
        return page("This did not work", alert(str(error)), status=error.status)
    finally:
        # Before anything else can run: what is answered and what is sent has been kept.
        account.archive.commit()
