"""API requests: each is one step of the account, and is answered as Stripe would."""

import base64
import binascii
import hmac
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mainstem.sandbox.stripe.delivery.events import rendered
from mainstem.sandbox.stripe.edge import calendar
from mainstem.sandbox.stripe.edge.expand import Finder, expand
from mainstem.sandbox.stripe.edge.idempotency import Keys, StoredResponse
from mainstem.sandbox.stripe.state import shapes
from mainstem.sandbox.stripe.state.account import StripeAccount, new_id
from mainstem.sandbox.stripe.state.compose import composed, included, listed
from mainstem.sandbox.stripe.state.history import Cause, StripeEvent
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire import form, params, versions
from mainstem.sandbox.stripe.wire.errors import StripeError
from mainstem.sandbox.stripe.wire.form import Tree
from mainstem.sandbox.stripe.wire.paging import ListPage
from mainstem.sandbox.stripe.wire.versions import Era

_REMEMBERED_REQUESTS = 1_000
_EXPAND = params.array(params.identifier)


@dataclass(frozen=True)
class ApiCall:
    """Arguments of a request to the account."""

    account: StripeAccount
    id: str
    """The object that the path names; empty where it names none."""
    params: Tree
    base_url: str
    """The stand-in's base URL, as the caller knows it, without a slash behind; its pages are below."""


Handler = Callable[[ApiCall], Any]
"""Acts, and returns a held object, an event or a page of either."""


class Edge:
    """Answers requests to one account, whose secret key, or whose platform's, is `api_key`."""

    def __init__(self, account: StripeAccount, api_key: str, received: deque[Json] | None = None) -> None:
        self._account = account
        self._api_key = api_key
        self._keys = Keys(account.archive)
        self.received = deque[Json](maxlen=_REMEMBERED_REQUESTS) if received is None else received

    async def answer(self, request: Request, handler: Handler) -> Response:
        """Answer a request; those of one idempotency key act once."""
        request_id = new_id("req", length=14)
        asked = request.headers.get("stripe-version", self._account.api_version)
        try:
            self._authenticate(request)
            version = versions.check(asked)
            answer = await self._once(request, handler, version, request_id)
        except StripeError as error:
            version = self._account.api_version
            answer = _refused(error, request_id)
        finally:
            # Before anything else can run: what is answered and what is sent has been kept.
            self._account.archive.commit()
        self._note(request, await request.body(), answer, request_id)
        return _response(request, answer, request_id, version)

    def _authenticate(self, request: Request) -> None:
        given = _credentials(request.headers.get("authorization", ""))
        if not given:
            raise StripeError(
                "You did not provide an API key. You need to provide your API key in the Authorization "
                "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
                status=HTTPStatus.UNAUTHORIZED,
            )
        if not hmac.compare_digest(given.encode(), self._api_key.encode()):
            raise StripeError(
                f"Invalid API Key provided: {given[:8]}{'*' * 8}{given[-4:]}", status=HTTPStatus.UNAUTHORIZED
            )

    async def _once(
        self, request: Request, handler: Handler, version: str, request_id: str
    ) -> StoredResponse:
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        cause = Cause(request_id, key)
        if key is None:
            return self._act(request, await request.body(), handler, version, cause)
        former = self._keys.begin(key, _path(request), self._account.now)
        try:
            body = await request.body()
            self._keys.check(key, body)
            if former is not None:
                return former
            answer = self._act(request, body, handler, version, cause)
            self._keys.keep(key, answer)
        finally:
            self._keys.release(key)
        return answer

    def _act(
        self, request: Request, body: bytes, handler: Handler, version: str, cause: Cause
    ) -> StoredResponse:
        """Take one step. Errors that come after acting are answers, to be kept; earlier ones are raised."""
        tree = _tree(request, body)
        wanted = _EXPAND(tree.pop("expand", []), "expand")
        calendar.fall_due(self._account, self._account.now)
        request_id = cause.request_id or ""
        try:
            with self._account.caused_by(cause):
                result = handler(_call(self._account, request, tree))
        except StripeError as error:
            if error.status != HTTPStatus.PAYMENT_REQUIRED:
                raise
            return _refused(error, request_id)
        try:
            shown = present(self._account, result, versions.era(version), wanted)
        except StripeError as error:
            return _refused(error, request_id)
        return StoredResponse(HTTPStatus.OK, _encoded(shown), request_id)

    def _note(self, request: Request, body: bytes, answer: StoredResponse, request_id: str) -> None:
        try:
            given = _tree(request, body)
        except StripeError:
            given = {}
        self.received.append(
            {
                "at": self._account.now,
                "method": request.method,
                "path": _path(request),
                "params": given,
                "status": int(answer.status),
                "request_id": request_id,
                "replayed": answer.request_id != request_id,
                "idempotency_key": request.headers.get("idempotency-key"),
                "stripe_version": request.headers.get("stripe-version"),
                "stripe_account": request.headers.get("stripe-account"),
            }
        )


def present(account: StripeAccount, result: Any, era: Era, paths: list[str]) -> Json:
    """Return what a handler returned as an era shows it, expanded along the paths.

    Raises:
        StripeError: a path leads nowhere.
    """

    def show(held: Any) -> Json:
        if isinstance(held, StripeEvent):
            # An event keeps the shapes of the account's version, whatever version asks for it.
            return rendered(held, held.api_version)
        shown: Json = shapes.shown(composed(account.store, held), era)
        return shown

    def lookup(kind: str, given: str) -> Json | None:
        held = account.store.find(kind, given) or account.store.stub(kind, given)
        return None if held is None else show(held)

    def include(holder: Json, name: str) -> Json | None:
        found = included(account.store, holder, name)
        return None if found is None else shapes.shown(found, era)

    with account.store.read_only():
        if isinstance(result, ListPage):
            page = ListPage(result.url, [show(held) for held in result.data], result.has_more)
            answer = listed(page)
        else:
            answer = show(result)
        expand(answer, paths, Finder(lookup, include))
    return answer


def _call(account: StripeAccount, request: Request, tree: Tree) -> ApiCall:
    root = f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"
    return ApiCall(account, request.path_params.get("id", ""), tree, root)


def _tree(request: Request, body: bytes) -> Tree:
    sent = body.decode("utf-8", "replace") if request.method == "POST" else ""
    return form.parse("&".join(part for part in (request.url.query, sent) if part))


def _credentials(header: str) -> str:
    scheme, _, given = header.partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _path(request: Request) -> str:
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", ""))


def _encoded(body: Json) -> bytes:
    return msgspec.json.format(msgspec.json.encode(body), indent=2)


def _refused(error: StripeError, request_id: str) -> StoredResponse:
    return StoredResponse(error.status, _encoded(error.body()), request_id)


def _response(request: Request, answer: StoredResponse, request_id: str, version: str) -> Response:
    headers = {"Request-Id": request_id, "Stripe-Version": version}
    key = request.headers.get("idempotency-key")
    if key is not None:
        headers["Idempotency-Key"] = key
    if answer.request_id != request_id:
        headers |= {"Idempotent-Replayed": "true", "Original-Request": answer.request_id}
    return Response(answer.body, answer.status, headers, media_type="application/json")
