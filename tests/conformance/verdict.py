"""Verdicts: the outcome of a case, with its deviations and with every part that was left out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.conformance.deviations import DEVIATIONS

_MEMBER = re.compile(r"\w+(?:\.\w+)+")

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True)
class Verdict:
    """Outcome of a case, and a text: the first difference, the reason of a skip, or the notes."""

    outcome: str
    text: str = ""


@dataclass
class Notes:
    """Remarks on a case that runs: documented deviations, values not compared, parts not run."""

    documented: list[str] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)

    def deviate(self, name: str) -> None:
        """Note a deviation of the table.

        Raises:
            KeyError: the table has no such deviation.
        """
        self.documented.append(DEVIATIONS[name].ours)

    def text(self) -> str:
        """Return all remarks, each once, in the order of the case."""
        parts = {
            "as documented": self.documented,
            "not compared": self.not_compared,
            "not run": self.not_run,
        }
        lines = {name: "; ".join(_grouped(dict.fromkeys(texts))) for name, texts in parts.items() if texts}
        return ". ".join(f"{name}: {line}" for name, line in lines.items())


def _grouped(texts: Iterable[str]) -> list[str]:
    """Return the texts, those that are members of one part as one: `log.trace, trace_json`."""
    found: dict[str, list[str]] = {}
    for text in texts:
        part, _, member = text.rpartition(".")
        is_member = _MEMBER.fullmatch(text) is not None
        found.setdefault(part if is_member else text, []).append(member if is_member else "")
    return [f"{part}.{', '.join(members)}" if members[0] else part for part, members in found.items()]
