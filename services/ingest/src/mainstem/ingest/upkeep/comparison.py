"""Comparison of a rule set with what is stored: which products it would change; read only."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mainstem.common.database.pool import Transactions
from mainstem.common.owner import Link
from mainstem.ingest.subscriptions.derive import AGAIN
from mainstem.ingest.subscriptions.language import RuleSet
from mainstem.ingest.subscriptions.products import COLUMNS, KEY, Conclusions, conclude, differs
from mainstem.ingest.upkeep.walk import BATCH, list_owners

# Entries and stored rows of a batch are of one moment, without a lock on any owner.
SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"

HELD = frozenset({"active", "cancelling"})
"""Segments of a product that its owner has."""

Row = Mapping[str, Any]


class DifferenceKind(StrEnum):
    """Meaning of a difference for the owner."""

    GAIN = "gain"
    LOSE = "lose"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Difference:
    """One product that would change: the columns that differ, before and after; None for a row not there."""

    key: Row
    before: Row | None
    after: Row | None

    @property
    def kind(self) -> DifferenceKind:
        """Meaning for the owner: the product is gained, lost, or changed in another way."""
        had, has = _is_held(self.before), _is_held(self.after)
        if had == has:
            return DifferenceKind.CHANGE
        return DifferenceKind.GAIN if has else DifferenceKind.LOSE

    def described(self) -> dict[str, Any]:
        """Return the difference as one object, with only the columns that differ."""
        return {
            **self.key,
            "change": str(self.kind),
            "from": self._of(self.before),
            "to": self._of(self.after),
        }

    def _of(self, row: Row | None) -> Row | None:
        if row is None or self.before is None or self.after is None:
            return row
        return {name: row[name] for name in row if self.before[name] != self.after[name]}


async def compare(
    database: Transactions, provider: str, rules: RuleSet, *, batch: int = BATCH
) -> AsyncIterator[tuple[int, Sequence[Difference]]]:
    """Yield, batch by batch, how many owners were compared and what would change for them."""
    after = Link("", "")
    while True:
        async with database.transaction() as connection:
            await connection.execute(SNAPSHOT)
            links = await list_owners(connection, after, batch)
            if not links:
                return
            conclusions = await conclude(connection, provider, links, rules)
        yield len(links), list(_differences(conclusions))
        after = links[-1]


def _differences(conclusions: Conclusions) -> Iterator[Difference]:
    stored, derived = conclusions
    for key in sorted(stored.keys() | derived.keys()):
        before, after = stored.get(key), derived.get(key)
        if differs(before, after):
            yield Difference(dict(zip(KEY, key, strict=True)), _values(before), _values(after))


def _values(row: tuple[Any, ...] | None) -> Row | None:
    if row is None:
        return None
    return {
        name: value for name, value in zip(COLUMNS, row, strict=True) if name not in KEY and name != "rules"
    }


def _is_held(row: Row | None) -> bool:
    return row is not None and row["segment"].removeprefix(AGAIN) in HELD
