"""`expand`: an id in an answer is replaced by the object that it names."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire.errors import StripeError


@dataclass(frozen=True)
class Finder:
    """Sources of the objects that an expansion names, as a response shows them."""

    lookup: Callable[[str, str], Json | None]
    """Returns the object of a kind and id, None if there is none."""
    include: Callable[[Json, str], Json | None]
    """Returns what an object shows under a name only where that is expanded, None if there is no such."""


_KINDS = {
    "configuration": "billing_portal.configuration",
    "customer": "customer",
    "default_payment_method": "payment_method",
    "default_price": "price",
    "invoice": "invoice",
    "latest_invoice": "invoice",
    "payment_intent": "payment_intent",
    "price": "price",
    "product": "product",
    "schedule": "subscription_schedule",
    "subscription": "subscription",
}
"""The fields that hold an id, and the kind of what they name."""

_ALWAYS_EMPTY = frozenset(
    {
        "application",
        "charge",
        "default_source",
        "default_tax_rates",
        "discounts",
        "on_behalf_of",
        "payment_link",
        "pending_setup_intent",
        "quote",
        "setup_intent",
        "test_clock",
    }
)
"""Fields that Stripe expands and that are empty in this account."""

_DEEPEST = 4


def expand(answer: Json, paths: Iterable[str], finder: Finder) -> None:
    """Replace, in the answer itself, what each path (such as `items.data.price.product`) leads to.

    Raises:
        StripeError: a path leads nowhere.
    """
    for path in paths:
        parts = path.split(".")
        if len([part for part in parts if part != "data"]) > _DEEPEST:
            raise StripeError(f"You cannot expand more than {_DEEPEST} levels of a property.", param="expand")
        _expand(answer, parts, path, finder)


def _expand(value: Any, parts: list[str], path: str, finder: Finder) -> None:
    if value is None or not parts:
        return
    if isinstance(value, list):
        for member in value:
            _expand(member, parts, path, finder)
        return
    name, rest = parts[0], parts[1:]
    _include(value, name, finder)
    if not isinstance(value, dict) or (name not in value and not value.get("deleted")):
        raise _not_expandable(path)
    member = value.get(name)
    if isinstance(member, str):
        value[name] = member = _named(name, member, path, finder)
    elif not (isinstance(member, dict | list) or name in _KINDS or name in _ALWAYS_EMPTY or rest):
        raise _not_expandable(path)
    _expand(member, rest, path, finder)


def _include(value: Any, name: str, finder: Finder) -> None:
    found = finder.include(value, name) if isinstance(value, dict) and name not in value else None
    if found is not None:
        value[name] = found


def _named(name: str, given: str, path: str, finder: Finder) -> Json:
    found = finder.lookup(_KINDS[name], given) if name in _KINDS else None
    if found is None:
        raise _not_expandable(path)
    return found


def _not_expandable(path: str) -> StripeError:
    return StripeError(
        f"This property cannot be expanded ({path}). You may want to try expanding a different property.",
        param="expand",
    )
