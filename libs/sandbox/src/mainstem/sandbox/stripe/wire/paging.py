"""Stripe's lists: a page from a cursor on, in either direction, with filters.

The cursor is found before anything is filtered, and a walk looks at no object outside its page but those
that the filters refuse.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from mainstem.sandbox.stripe.wire import params
from mainstem.sandbox.stripe.wire.errors import StripeError, no_such
from mainstem.sandbox.stripe.wire.form import Tree
from mainstem.sandbox.stripe.wire.params import Fields

Held = TypeVar("Held")
Seen_co = TypeVar("Seen_co", covariant=True)
Wanted = Callable[[Held], bool]

DEFAULT_LIMIT = 10
_LARGEST_LIMIT = 100

_RANGE: Fields = {"gt": params.integer, "gte": params.integer, "lt": params.integer, "lte": params.integer}


class Ordered(Protocol[Seen_co]):
    """A sequence that knows where an id stands; a gap is None."""

    @property
    def end(self) -> int: ...  # noqa: D102 -- as Shelf
    def at(self, position: int) -> Seen_co | None: ...  # noqa: D102 -- as Shelf
    def position(self, given: str) -> int | None: ...  # noqa: D102 -- as Shelf


@dataclass(frozen=True)
class ListPage(Generic[Held]):
    """One page of a list."""

    url: str
    data: list[Held]
    has_more: bool


@dataclass(frozen=True)
class Window:
    """Requested part of a list."""

    limit: int = DEFAULT_LIMIT
    after: str | None = None
    before: str | None = None


def _limit(value: Any, name: str) -> int:
    limit = params.integer(value, name)
    if limit > _LARGEST_LIMIT:
        raise StripeError(
            f"This value must be less than or equal to {_LARGEST_LIMIT}.",
            code="parameter_invalid_integer",
            param=name,
        )
    if limit < 1:
        raise StripeError(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param=name
        )
    return limit


def moments(value: Any, name: str) -> Callable[[int], bool]:
    """Read an instant, or a range of them, and return the test of being in it."""
    if not isinstance(value, dict):
        exact = params.integer(value, name)
        return lambda at: at == exact
    limits = params.read(value, _RANGE, within=name)
    after = limits.get("gt"), limits.get("gte")
    before = limits.get("lt"), limits.get("lte")
    return lambda at: (
        (after[0] is None or at > after[0])
        and (after[1] is None or at >= after[1])
        and (before[0] is None or at < before[0])
        and (before[1] is None or at <= before[1])
    )


WINDOW: Fields = {"limit": _limit, "starting_after": params.identifier, "ending_before": params.identifier}


def split(given: Tree, filters: Fields, *, required: tuple[str, ...] = ()) -> tuple[Window, dict[str, Any]]:
    """Return the window that the parameters of a list ask for, and its filters, read.

    Raises:
        StripeError: a parameter is unknown, missing or cannot be read, or both cursors are given.
    """
    found = params.read(given, {**WINDOW, **filters}, required=required)
    window = Window(
        found.pop("limit", DEFAULT_LIMIT), found.pop("starting_after", None), found.pop("ending_before", None)
    )
    if window.after is not None and window.before is not None:
        raise StripeError("You may only specify one of these parameters: starting_after, ending_before.")
    return window, found


def page(
    url: str,
    source: Ordered[Held],
    window: Window,
    *,
    wanted: Wanted[Held] | None = None,
    newest_first: bool = True,
    noun: str = "object",
) -> ListPage[Held]:
    """Return the part of a list that the window asks for.

    `has_more` speaks of the direction of the walk, as at Stripe.

    Raises:
        StripeError: the cursor is not in the source.
    """
    found: list[Held] = []
    for position in _walk(source, window, newest_first=newest_first, noun=noun):
        held = source.at(position)
        if held is None or not (wanted is None or wanted(held)):
            continue
        found.append(held)
        if len(found) > window.limit:
            break
    data = found[: window.limit]
    return ListPage(url, data if window.before is None else data[::-1], has_more=len(found) > window.limit)


def _walk(source: Ordered[Held], window: Window, *, newest_first: bool, noun: str) -> range:
    cursor = window.after or window.before
    upwards = newest_first == (window.before is not None)
    if cursor is None:
        return range(source.end) if upwards else range(source.end - 1, -1, -1)
    start = source.position(cursor)
    if start is None:
        raise no_such(noun, cursor, param="ending_before" if window.before else "starting_after")
    return range(start + 1, source.end) if upwards else range(start - 1, -1, -1)


class Row(Generic[Held]):
    """A short list inside an object, such as the items of one subscription, in its own order."""

    def __init__(self, held: list[Held], name: Callable[[Held], str]) -> None:
        self._held = held
        self._name = name

    @property
    def end(self) -> int:
        """The number of members."""
        return len(self._held)

    def at(self, position: int) -> Held | None:
        """Return the member at a position."""
        return self._held[position]

    def position(self, given: str) -> int | None:
        """Return where the member with this id stands, None if it is not there."""
        return next((index for index, held in enumerate(self._held) if self._name(held) == given), None)
