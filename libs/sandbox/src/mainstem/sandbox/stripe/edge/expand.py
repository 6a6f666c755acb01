"""`expand`: an id in an answer is replaced by the object that it names."""

from collections.abc import Callable, Iterable
from typing import Any

from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire.errors import StripeError

Lookup = Callable[[str, str], Json | None]
"""Returns the object of a kind and id as it is to be shown, None if there is none."""

_KINDS = {
    "customer": "customer",
    "default_payment_method": "payment_method",
    "default_price": "price",
    "invoice": "invoice",
    "latest_invoice": "invoice",
    "price": "price",
    "product": "product",
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
        "payment_intent",
        "pending_setup_intent",
        "quote",
        "schedule",
        "test_clock",
    }
)
"""Fields that Stripe expands and that are empty in this account."""

_DEEPEST = 4


def expand(answer: Json, paths: Iterable[str], lookup: Lookup) -> None:
    """Replace, in the answer itself, what each path (such as `items.data.price.product`) leads to.

    Raises:
        StripeError: a path leads nowhere.
    """
    for path in paths:
        parts = path.split(".")
        if len([part for part in parts if part != "data"]) > _DEEPEST:
            raise StripeError(f"You cannot expand more than {_DEEPEST} levels of a property.", param="expand")
        _expand(answer, parts, path, lookup)


def _expand(value: Any, parts: list[str], path: str, lookup: Lookup) -> None:
    if value is None or not parts:
        return
    if isinstance(value, list):
        for member in value:
            _expand(member, parts, path, lookup)
        return
    name, rest = parts[0], parts[1:]
    if not isinstance(value, dict) or (name not in value and not value.get("deleted")):
        raise _not_expandable(path)
    member = value.get(name)
    if isinstance(member, str):
        value[name] = member = _named(name, member, path, lookup)
    elif not (isinstance(member, dict | list) or name in _KINDS or name in _ALWAYS_EMPTY or rest):
        raise _not_expandable(path)
    _expand(member, rest, path, lookup)


def _named(name: str, given: str, path: str, lookup: Lookup) -> Json:
    found = lookup(_KINDS[name], given) if name in _KINDS else None
    if found is None:
        raise _not_expandable(path)
    return found


def _not_expandable(path: str) -> StripeError:
    return StripeError(
        f"This property cannot be expanded ({path}). You may want to try expanding a different property.",
        param="expand",
    )
