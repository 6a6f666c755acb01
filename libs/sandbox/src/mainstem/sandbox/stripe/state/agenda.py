"""Agenda: at most one due instant for each key, the earliest first."""

import heapq

import msgspec

from mainstem.sandbox.stand_ins.archive import Archive

_KIND = "_due"

Key = tuple[str, str]
"""An object's kind and id."""


class Agenda:
    """Instants in seconds since 1970; of those with one instant, the key put down first falls due first."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._heap: list[tuple[int, int, Key]] = []
        self._entries: dict[Key, tuple[int, int]] = {}
        self._count = 0
        for row in archive.rows(_KIND):
            kind, _, given = row.id.partition("/")
            self._enter((kind, given), msgspec.json.decode(row.body, type=int), row.seq)

    def put(self, key: Key, at: int | None) -> None:
        """Have the key fall due at this instant instead of any other; None is never."""
        known = self._entries.get(key)
        if known is not None and known[0] == at:
            return
        if known is not None:
            self._forget(key)
        if at is not None:
            self._enter(key, at, self._count + 1)
            self._archive.put(_KIND, "/".join(key), at, seq=self._count)

    def first(self) -> int | None:
        """Return the earliest instant, None if nothing is to come."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def take(self, until: int) -> Key | None:
        """Return the key that falls due first, and forget its instant; None if that is after `until`."""
        first = self.first()
        if first is None or first > until:
            return None
        _, _, key = heapq.heappop(self._heap)
        self._forget(key)
        return key

    def _enter(self, key: Key, at: int, count: int) -> None:
        self._count = count
        self._entries[key] = at, count
        heapq.heappush(self._heap, (at, count, key))

    def _forget(self, key: Key) -> None:
        del self._entries[key]
        self._archive.drop(_KIND, "/".join(key))

    def _drop_stale(self) -> None:
        # A key that was put again left its former place in the heap.
        while self._heap and self._entries.get(self._heap[0][2]) != self._heap[0][:2]:
            heapq.heappop(self._heap)
