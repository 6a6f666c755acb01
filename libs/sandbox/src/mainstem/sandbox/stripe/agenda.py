"""What falls due next: at most one instant for each key, the earliest first."""

import heapq
from dataclasses import dataclass, field

Key = tuple[str, str]
"""An object's kind and id."""


@dataclass
class Agenda:
    """Instants in seconds since 1970; of those with one instant, the key put down first falls due first."""

    _heap: list[tuple[int, int, Key]] = field(default_factory=list)
    _entries: dict[Key, tuple[int, int]] = field(default_factory=dict)
    _count: int = 0

    def put(self, key: Key, at: int | None) -> None:
        """Have the key fall due at this instant instead of any other; None is never."""
        known = self._entries.get(key)
        if known is not None and known[0] == at:
            return
        self._entries.pop(key, None)
        if at is not None:
            self._count += 1
            self._entries[key] = at, self._count
            heapq.heappush(self._heap, (at, self._count, key))

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
        del self._entries[key]
        return key

    def _drop_stale(self) -> None:
        # A key that was put again left its former place in the heap.
        while self._heap and self._entries.get(self._heap[0][2]) != self._heap[0][:2]:
            heapq.heappop(self._heap)
