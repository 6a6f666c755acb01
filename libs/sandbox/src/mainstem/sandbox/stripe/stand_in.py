"""The stand-in for Stripe, as the sandbox's world composes it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mainstem.common.clock import Clock
from mainstem.sandbox.stand_ins.archive import Archive
from mainstem.sandbox.stand_ins.faults import Faults
from mainstem.sandbox.stand_ins.protocol import Order
from mainstem.sandbox.stripe.delivery import webhook_endpoints
from mainstem.sandbox.stripe.delivery.webhooks import Patience, WebhookSender
from mainstem.sandbox.stripe.edge import calendar
from mainstem.sandbox.stripe.edge.answering import ApiCall, Edge, Handler, present
from mainstem.sandbox.stripe.edge.endpoints import ENDPOINTS
from mainstem.sandbox.stripe.pages.routes import routes
from mainstem.sandbox.stripe.state.account import Dunning, StripeAccount
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire import versions
from mainstem.sandbox.stripe.wire.errors import StripeError
from mainstem.sandbox.stripe.wire.versions import Era

_LAYOUT = 2
"""The version of what is kept; to be raised whenever that changes its shape."""

_EVERY_METHOD = ["DELETE", "GET", "PATCH", "POST", "PUT"]


class StripeStandIn:
    """One Stripe account on loopback; `start` begins to send webhooks, `stop` ends that.

    Args:
        clock: the world's time; the composition root moves it and then calls `fall_due`.
        faults: scripted faults of what is sent (target `stripe.webhook`).
        api_key: the account's secret key.
        api_version: the account's version, for requests and endpoints that name none.
        dunning: what is done about unpaid invoices.
        patience: when a webhook has failed and is sent again, in machine time.
        folder: where all of it is kept, and found again by the next process; None is memory.

    Raises:
        sqlite3.OperationalError: another process has the folder, or it cannot be written.
    """

    name = "stripe"

    def __init__(
        self,
        clock: Clock,
        faults: Faults,
        *,
        api_key: str,
        api_version: str = versions.TODAY,
        dunning: Dunning | None = None,
        patience: Patience | None = None,
        folder: Path | None = None,
    ) -> None:
        self._archive = Archive.inside(folder, self.name, layout=_LAYOUT)
        self._make_account = partial(
            StripeAccount, clock, api_version=api_version, dunning=dunning, archive=self._archive
        )
        self._faults = faults
        self._api_key = api_key
        self._patience = patience
        self._standing: list[tuple[Json, str]] = []
        self._running = False
        self._begin()
        self.routes: Sequence[BaseRoute] = [
            *(Route(path, self._endpoint(handler), methods=[method]) for method, path, handler in ENDPOINTS),
            *routes(lambda: self.account),
            Route("/{path:path}", self._endpoint(_unrecognized), methods=_EVERY_METHOD),
        ]

    def _begin(self) -> None:
        self.account = self._make_account()
        self._edge = Edge(self.account, self._api_key)
        self._connected: dict[str, Edge] = {}
        self._sender = WebhookSender(self.account, self._faults, self._patience)

    def _endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            if handler is _unrecognized:
                request.path_params["id"] = f"{request.method}: /{request.path_params['path']}"
            named = request.headers.get("stripe-account")
            if named is None:
                return await self._edge.answer(request, handler)
            edge = self._connected.get(named)
            if edge is None:
                return await self._edge.answer(request, partial(_refuse, self._api_key, named))
            return await edge.answer(request, handler)

        return endpoint

    def connect(self, account_id: str) -> StripeAccount:
        """Connect an empty account, and return it; it is kept in memory, and forgotten by `reset`.

        It is reached with the stand-in's own key and the header `Stripe-Account`.
        """
        account = self._make_account(archive=Archive(), connected_id=account_id)
        account.tell = self._sender.tell
        self._connected[account_id] = Edge(account, self._api_key, self._edge.received)
        return account

    def disconnect(self, account_id: str) -> None:
        """Take the access to a connected account away."""
        del self._connected[account_id]

    def add_endpoint(
        self,
        url: str,
        *,
        secret: str,
        api_version: str | None = None,
        enabled_events: Sequence[str] = ("*",),
        connect: bool = False,
    ) -> str:
        """Register a webhook endpoint that outlives `reset`, and return its id.

        With `connect` it is sent the events of connected accounts, and no others.

        The nth one that is registered in a process is the nth one of the process before.

        Raises:
            StripeError: the URL is not on loopback, or there is no such version.
        """
        wanted: Json = {"enabled_events": list(enabled_events), "url": url, "connect": str(connect).lower()}
        if api_version is not None:
            wanted["api_version"] = api_version
        given = self._stand(len(self._standing), wanted, secret)
        self._standing.append((wanted, secret))
        return given

    def _stand(self, number: int, wanted: Json, secret: str) -> str:
        endpoint = webhook_endpoints.stand(self.account, wanted, secret=secret, number=number)
        self._archive.commit()
        return str(endpoint["id"])

    def next_due(self) -> datetime | None:
        """Return the world time of the next renewal, trial's end, retry of a payment and the like."""
        first = self.account.agenda.first()
        return None if first is None else datetime.fromtimestamp(first, UTC)

    async def fall_due(self, at: datetime) -> None:
        """Do all that is due at `at` or before, each thing at its own instant."""
        try:
            calendar.fall_due(self.account, int(at.timestamp()))
        finally:
            self._archive.commit()

    async def drain(self) -> None:
        """Return when every webhook queued now is answered, or has failed and waits for its retry."""
        await self._sender.drain()

    def pending(self) -> int:
        """Return how many webhooks are queued, under way or wait for a retry, held ones aside."""
        return self._sender.pending()

    def hold(self) -> None:
        """Keep webhooks back from now on; safe to repeat."""
        self._sender.hold()

    def held(self) -> int:
        """Return how many webhooks are kept back."""
        return self._sender.held()

    async def release(self, *, order: Order = "recorded", times: int = 1) -> int:
        """Send what was kept back, one after the other, each so many times; return how many there were."""
        return await self._sender.release(order=order, times=times)

    def holds(self) -> dict[str, Any]:
        """Return every object, kind by kind, as today's version shows it, the oldest first."""
        store = self.account.store
        return {
            kind: [present(self.account, held, Era.TODAY, []) for held in store.shelf(kind)]
            for kind in store.kinds()
        } | {"event": [present(self.account, event, Era.TODAY, []) for event in self.account.events]}

    def received(self) -> list[dict[str, Any]]:
        """Return the requests that were answered, the oldest first; the last thousand."""
        return list(self._edge.received)

    async def reset(self) -> None:
        """Forget everything but the endpoints that `add_endpoint` registered; safe to repeat."""
        await self._sender.stop()
        self._archive.clear()
        self._begin()
        for number, (wanted, secret) in enumerate(self._standing):
            self._stand(number, wanted, secret)
        self._archive.commit()
        if self._running:
            self._sender.start()

    async def start(self) -> None:
        """Begin to send webhooks."""
        self._running = True
        self._sender.start()

    async def stop(self) -> None:
        """Stop sending webhooks, and give the folder back, which is for good; safe to repeat."""
        self._running = False
        await self._sender.stop()
        self._archive.close()


def _unrecognized(call: ApiCall) -> Any:
    raise StripeError(
        f"Unrecognized request URL ({call.id}). Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/.",
        status=HTTPStatus.NOT_FOUND,
    )


def _refuse(api_key: str, account_id: str, _call: ApiCall) -> Any:
    # https://docs.stripe.com/error-codes, account_invalid
    masked = f"{api_key[:8]}{'*' * 8}{api_key[-4:]}"
    raise StripeError(
        f"The provided key '{masked}' does not have access to account '{account_id}' (or that account does"
        " not exist). Application access may have been revoked.",
        status=HTTPStatus.FORBIDDEN,
        code="account_invalid",
    )
