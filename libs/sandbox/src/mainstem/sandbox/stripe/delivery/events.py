"""Events as Stripe shows them, and the calls that list them."""

from collections.abc import Callable
from typing import Any

import msgspec

from mainstem.sandbox.stripe.state import shapes
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.history import StripeEvent
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire import paging, params, versions
from mainstem.sandbox.stripe.wire.errors import StripeError, no_such
from mainstem.sandbox.stripe.wire.form import Tree
from mainstem.sandbox.stripe.wire.paging import ListPage
from mainstem.sandbox.stripe.wire.params import Fields

_MOST_TYPES = 20


def rendered(event: StripeEvent, version: str) -> Json:
    """Return an event in the shapes of a version."""
    era = versions.era(version)
    data = {"object": shapes.shown(msgspec.json.decode(event.after), era)}
    if event.before is not None:
        before = shapes.shown(msgspec.json.decode(event.before), era)
        data["previous_attributes"] = changes(before, data["object"])
    facts = {
        "id": event.id,
        "api_version": version,
        "created": event.created,
        "data": data,
        "pending_webhooks": len(event.waiting),
        "request": {"id": event.cause.request_id, "idempotency_key": event.cause.idempotency_key},
        "type": event.type,
    }
    if event.account is not None:
        # https://docs.stripe.com/changelog/basil/2025-04-30/additional-context-organization-events
        facts |= {"account": event.account, "context": event.account}
    return {**shapes.blank("event"), **facts}


def changes(before: Json, after: Json) -> Json:
    """Return the former values of what differs, nested objects field by field, lists as a whole."""
    found: Json = {}
    for name in [*before, *(name for name in after if name not in before)]:
        former, latter = before.get(name), after.get(name)
        if former == latter:
            continue
        if isinstance(former, dict) and isinstance(latter, dict):
            former = changes(former, latter)
        found[name] = former
    return found


def retrieve(account: StripeAccount, given: str) -> StripeEvent:
    """Return an event.

    Raises:
        StripeError: there is none with this id.
    """
    event = account.events.find(given)
    if event is None:
        raise no_such("event", given)
    return event


_FILTERS: Fields = {
    "created": paging.moments,
    "delivery_success": params.boolean,
    "type": params.identifier,
    "types": params.array(params.identifier, most=_MOST_TYPES),
}


def list_all(account: StripeAccount, given: Tree) -> ListPage[StripeEvent]:
    """Return a page of the events, newest first."""
    window, filters = paging.split(given, _FILTERS)
    if "type" in filters and "types" in filters:
        raise StripeError("You may only specify one of these parameters: type, types.")
    tests = [_TESTS[name](value) for name, value in filters.items()]
    return paging.page(
        "/v1/events",
        account.events,
        window,
        wanted=lambda event: all(test(event) for test in tests),
        noun="event",
    )


def _type_in(patterns: list[str]) -> Callable[[StripeEvent], bool]:
    exact = frozenset(patterns)
    prefixes = tuple(pattern.removesuffix("*") for pattern in patterns if pattern.endswith("*"))
    return lambda event: event.type in exact or event.type.startswith(prefixes)


_TESTS: dict[str, Callable[[Any], Callable[[StripeEvent], bool]]] = {
    "created": lambda test: lambda event: test(event.created),
    "delivery_success": lambda wanted: lambda event: (not event.waiting) == wanted,
    "type": lambda pattern: _type_in([pattern]),
    "types": _type_in,
}
