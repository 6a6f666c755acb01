"""Store of an account's objects: by id, in order of creation."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import msgspec

from mainstem.sandbox.stand_ins.archive import Archive
from mainstem.sandbox.stripe.wire.errors import no_such

Json = dict[str, Any]
Held = TypeVar("Held")

_STUB = "_stub"


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

    def add(self, given: str, held: Held, *, position: int | None = None) -> None:
        """Put an object behind all others, at a position that none has taken if one is named."""
        if position is not None:
            self._held += [None] * (position - len(self._held))
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
    """The objects of every kind, each kind on its shelf, under the name that Stripe gives as `object`.

    They are kept in the archive. Whoever got an object by `add`, `find`, `get` or `select` may change it
    until the archive's next commit, which keeps what it then is.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._is_read_only = False
        self._shelves: defaultdict[str, Shelf[Json]] = defaultdict(Shelf)
        self._stubs: dict[tuple[str, str], Json] = {}
        self._recall()

    def _recall(self) -> None:
        for kind in self._archive.kinds():
            if kind.startswith("_"):
                continue  # rows of others
            for row in self._archive.rows(kind):
                self._shelves[kind].add(row.id, msgspec.json.decode(row.body), position=row.seq)
        for row in self._archive.rows(_STUB):
            stub = msgspec.json.decode(row.body)
            self._stubs[stub["object"], stub["id"]] = stub

    def shelf(self, kind: str) -> Shelf[Json]:
        """Return the objects of one kind, to be read; those to be changed come from `select`."""
        return self._shelves[kind]

    def select(self, kind: str, wanted: Callable[[Json], bool]) -> list[Json]:
        """Return the objects of one kind that are wanted, the oldest first."""
        return [self._watch(held) for held in self._shelves[kind] if wanted(held)]

    def kinds(self) -> list[str]:
        """Return the kinds of which anything was ever held."""
        held = {kind for kind, shelf in self._shelves.items() if len(shelf)}
        return sorted(held | {kind for kind, _ in self._stubs})

    def add(self, held: Json) -> Json:
        """Hold an object from now on, and return it."""
        return self._watch(held, is_new=True)

    def find(self, kind: str, given: str | None) -> Json | None:
        """Return an object, None if there is none of this kind and id."""
        held = None if given is None else self._shelves[kind].find(given)
        return None if held is None else self._watch(held)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Have nothing that is found inside be changed, which is not kept then."""
        former, self._is_read_only = self._is_read_only, True
        try:
            yield
        finally:
            self._is_read_only = former

    def _watch(self, held: Json, *, is_new: bool = False) -> Json:
        kind, given = held["object"], held["id"]
        shelf = self._shelves[kind]
        if is_new:
            shelf.add(given, held)
        if not self._is_read_only:
            self._archive.watch(kind, given, held, seq=shelf.position(given) or 0, is_new=is_new)
        return held

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
        kind, given = held["object"], held["id"]
        stub = {"id": given, "object": kind, "deleted": True}
        self._shelves[kind].remove(given)
        self._stubs[kind, given] = stub
        self._archive.drop(kind, given)
        self._archive.put(_STUB, f"{kind}/{given}", stub)
        return stub

    def stub(self, kind: str, given: str) -> Json | None:
        """Return what is left of a removed object, None if there never was one."""
        return self._stubs.get((kind, given))
