"""Mutations of `mutations.toml`: what each edits, where, and which tests must fail with it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.mutations.anchors import AnchorError, Place, find_in_file, find_in_symbol

LIST = Path(__file__).with_name("mutations.toml")


@dataclass(frozen=True)
class Mutation:
    """One rule taken out: the only `old` in its symbol or file becomes `new`; then `tests` must fail."""

    name: str
    rule: str
    symbol: str | None
    """`in` of the list: a distribution and a qualified name."""
    file: str | None
    """For text outside of the distributions' sources: a path in the tree."""
    old: str
    new: str
    tests: tuple[str, ...]

    def find(self, root: Path) -> Place:
        """Return where `old` stands in a tree without mutations.

        Raises:
            AnchorError: it is not there exactly once.
        """
        if (self.symbol is None) == (self.file is None):
            raise AnchorError("a mutation has `in` or `file`, and not both")
        if self.symbol is not None:
            return find_in_symbol(root, self.symbol, self.old)
        return find_in_file(root, str(self.file), self.old)


def load() -> list[Mutation]:
    """Return every mutation of the list, in its order."""
    return [
        Mutation(
            name=entry["name"],
            rule=entry["rule"],
            symbol=entry.get("in"),
            file=entry.get("file"),
            old=entry["old"],
            new=entry["new"],
            tests=tuple(entry["tests"]),
        )
        for entry in tomllib.loads(LIST.read_text())["mutation"]
    ]


def part_of(mutations: list[Mutation], number: int, parts: int) -> list[Mutation]:
    """Return part 1 to `parts` of the list in its order; sizes differ by one at most."""
    size = len(mutations)
    return mutations[size * (number - 1) // parts : size * number // parts]
