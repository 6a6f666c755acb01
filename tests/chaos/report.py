"""What a run shows: its progress, a table of what happened, and one line of JSON."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from tests.chaos.comparison import Comparison
from tests.chaos.schedule import Strike

MOST_SHOWN = 10
LINE_SECONDS = 15.0


@dataclass(frozen=True)
class Report:
    """One run, told."""

    seed: int
    minutes: float
    faults: Mapping[tuple[str, str], int]
    befallen: Mapping[str, int]
    acts: Mapping[str, int]
    figures: Mapping[str, float]
    comparison: Comparison

    @property
    def holds(self) -> bool:
        """Whether there is no difference at all."""
        return not self.comparison.differences

    def show(self, console: Console) -> None:
        """Print the tables, the first differences and the verdict."""
        faults = {f"{fault}: {target}": count for (fault, target), count in sorted(self.faults.items())}
        _show_counts(console, "faults", faults)
        _show_counts(console, "requests befallen", self.befallen)
        _show_counts(console, "done meanwhile", self.acts)
        _show_counts(console, "figures", self.figures)
        _show_counts(console, "compared with the oracle", self.comparison.compared)
        for difference in self.comparison.differences[:MOST_SHOWN]:
            console.print(f"  [red]DIFFERS[/red] {escape(difference)}", highlight=False)
        count = len(self.comparison.differences)
        colour, verdict = ("red", f"{count} differences") if count else ("green", "no difference")
        console.print(f"[bold {colour}]{verdict}[/], seed {self.seed}")

    def as_json(self) -> str:
        """Return everything in one line."""
        by_fault: dict[str, dict[str, int]] = {}
        for (fault, target), count in sorted(self.faults.items()):
            by_fault.setdefault(fault, {})[target] = count
        told: dict[str, Any] = {
            "seed": self.seed,
            "minutes": self.minutes,
            "holds": self.holds,
            "faults": by_fault,
            "requests_befallen": dict(self.befallen),
            "acts": dict(self.acts),
            "figures": dict(self.figures),
            "compared": self.comparison.compared,
            "differences": len(self.comparison.differences),
            "first_differences": self.comparison.differences[:MOST_SHOWN],
        }
        return json.dumps({"chaos": told})


def _show_counts(console: Console, title: str, counts: Mapping[str, float]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, expand=False)
    table.add_column()
    table.add_column(justify="right")
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    console.print(table)


class Progress:
    """One line that says how far it is; where no terminal is, a line now and then."""

    def __init__(self, console: Console, seconds: float) -> None:
        self._console = console
        self._seconds = seconds
        self._began = time.monotonic()
        self._last_line = 0.0
        self._live = Live("", console=console, refresh_per_second=4, transient=True)
        self.phase = "storm"
        self.events = 0
        self.strikes = 0
        self.latest = ""

    def strike(self, strike: Strike, what: str) -> None:
        """Take note of a fault."""
        self.strikes += what == "strikes"
        self.latest = f"{strike.fault} {strike.target}" + ("" if what == "strikes" else f" {what}")

    async def run(self) -> None:
        """Show it, until cancelled."""
        with self._live:
            while True:
                self._show()
                await asyncio.sleep(0.5)

    def _show(self) -> None:
        passed = time.monotonic() - self._began
        line = (
            f"{passed:6.1f} s of {self._seconds:.0f} s | {self.phase} | {self.events:,} events recorded"
            f" | {self.strikes} faults | {escape(self.latest)}"
        )
        if self._console.is_terminal:
            self._live.update(line)
        elif passed - self._last_line >= LINE_SECONDS:
            self._last_line = passed
            self._console.print(line, highlight=False)
