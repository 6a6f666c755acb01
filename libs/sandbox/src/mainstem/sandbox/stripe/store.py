"""What an account holds: objects by id, in the order in which they were created."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from mainstem.sandbox.stripe.errors import no_such

Json = dict[str, Any]
Held = TypeVar("Held")


class Shelf(Generic[Held]):
    """Objects of one kind. What is removed leaves a gap, so that a position is for ever."""

    def __init__(self) -> None:
        self._held: list[Held | None] = []
        self._positions: dict[str, int] = {}

    def __len__(self) -> int:
        """Return how many objects are held."""
        return len(self._positions)

    def __iter__(self) -> Iterator[Held]:
        """Go through what is held, the oldest first."""
        return iter([held for held in self._held if held is not None])

    @property
    def end(self) -> int:
        """The position that the next object will take."""
        return len(self._held)

    def at(self, position: int) -> Held | None:
        """Return what is held at a position; None is a gap."""
        return self._held[position]

    def position(self, given: str) -> int | None:
        """Return where the object with this id stands, None if it is not held."""
        return self._positions.get(given)

    def add(self, given: str, held: Held) -> None:
        """Put an object behind all others."""
        self._positions[given] = len(self._held)
        self._held.append(held)

    def find(self, given: str) -> Held | None:
        """Return the object with this id, None if it is not held."""
        position = self._positions.get(given)
        return None if position is None else self._held[position]

    def remove(self, given: str) -> None:
        """Forget the object with this id."""
        self._held[self._positions.pop(given)] = None


class Store:
    """The objects of every kind, each kind on its shelf, under the name that Stripe gives as `object`."""

    def __init__(self) -> None:
        self._shelves: defaultdict[str, Shelf[Json]] = defaultdict(Shelf)
        self._stubs: dict[tuple[str, str], Json] = {}

    def shelf(self, kind: str) -> Shelf[Json]:
        """Return the objects of one kind."""
        return self._shelves[kind]

    def kinds(self) -> list[str]:
        """Return the kinds of which anything was ever held."""
        return sorted(self._shelves)

    def add(self, held: Json) -> Json:
        """Hold an object from now on, and return it."""
        self._shelves[held["object"]].add(held["id"], held)
        return held

    def find(self, kind: str, given: str | None) -> Json | None:
        """Return an object, None if there is none of this kind and id."""
        return None if given is None else self._shelves[kind].find(given)

    def get(self, kind: str, given: str, *, param: str = "id") -> Json:
        """Return an object.

        Raises:
            StripeError: there is none of this kind and id; `param` is what named it.
        """
        held = self.find(kind, given)
        if held is None:
            raise no_such(kind, given, param=param)
        return held

    def remove(self, held: Json) -> Json:
        """Forget an object but for the stub that Stripe answers with, which is returned."""
        self._shelves[held["object"]].remove(held["id"])
        stub = {"id": held["id"], "object": held["object"], "deleted": True}
        self._stubs[held["object"], held["id"]] = stub
        return stub

    def stub(self, kind: str, given: str) -> Json | None:
        """Return what is left of a removed object, None if there never was one."""
        return self._stubs.get((kind, given))
