"""Report of a long run: tables for a person, one line of JSON, and the figures of a page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

MOST_SHOWN = 20
MEMORY_BYTES = 30 * 1024 * 1024
MIB = 1024 * 1024
HEADING = "## The last run\n"


@dataclass(frozen=True)
class Report:
    """One run's figures."""

    seed: int
    seconds: float
    sent: Mapping[str, int]
    wrong: Sequence[str]
    """Attacks of the table that were answered otherwise than they must be."""
    differences: Sequence[str]
    """Generated connections whose requests the gateway and its upstream did not read alike."""
    calls: Mapping[str, int]
    harms: Sequence[str]
    """Innocent requests that were not answered as they must be."""
    memory: Mapping[str, tuple[int, int]]
    """Resident bytes of each process, before and after."""

    @property
    def problems(self) -> list[str]:
        """Everything that must not be."""
        grown = [
            f"{name} grew by {(after - before) / MIB:.1f} MiB"
            for name, (before, after) in self.memory.items()
            if after - before > MEMORY_BYTES
        ]
        return [*self.harms, *self.differences, *self.wrong, *grown]

    @property
    def figures(self) -> dict[str, float]:
        """The figures, by what they count."""
        return {
            "seconds": round(self.seconds),
            "attacks": sum(self.sent.values()),
            "of them generated": self.sent.get("generated", 0),
            "attacks answered wrongly": len(self.wrong),
            "framing differences": len(self.differences),
            "innocent requests": sum(self.calls.values()),
            "innocent requests harmed": len(self.harms),
        }

    def show(self, console: Console) -> None:
        """Print figures, the first problems and the verdict."""
        for name, value in self._rows():
            console.print(f"  {name:<40}{value:>20}", highlight=False)
        for problem in self.problems[:MOST_SHOWN]:
            console.print(f"  [red]WRONG[/red] {escape(problem[:400])}", highlight=False)
        count = len(self.problems)
        colour, verdict = ("red", f"{count} problems") if count else ("green", "no caller was harmed")
        console.print(f"[bold {colour}]{verdict}[/], seed {self.seed}")

    def as_json(self) -> str:
        """Return everything in one line."""
        memory = {name: {"before": before, "after": after} for name, (before, after) in self.memory.items()}
        about = {"seed": self.seed, "holds": not self.problems, **self.figures, "memory": memory}
        return json.dumps({"attacks": {**about, "sent": dict(self.sent), "calls": dict(self.calls)}})

    def write(self, page: Path) -> None:
        """Put the figures in the place of the last run's on the page."""
        text = page.read_text(encoding="utf-8").partition(HEADING)[0]
        rows = "".join(f"| {name} | {value} |\n" for name, value in self._rows())
        page.write_text(f"{text}{HEADING}\n| seed | {self.seed} |\n|---|---:|\n{rows}", encoding="utf-8")

    def _rows(self) -> list[tuple[str, str]]:
        return [
            *((name, f"{value:,}") for name, value in self.figures.items()),
            *((f"attacks: {name}", f"{count:,}") for name, count in self.sent.items()),
            *((f"innocent requests: {name}", f"{count:,}") for name, count in self.calls.items()),
            *(
                (f"memory of {name}, MiB", f"{before / MIB:.1f} to {after / MIB:.1f}")
                for name, (before, after) in self.memory.items()
            ),
        ]
