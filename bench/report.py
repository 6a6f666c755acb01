"""How a benchmark speaks: progress while it runs, a table, and one line of JSON at the end."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

Figures = dict[str, float | int | None]

WHOLE_FROM = 100
"""Numbers from here on are shown without decimals."""


@dataclass(frozen=True)
class Goal:
    """What a figure has to reach."""

    figure: str
    least: float | None = None
    most: float | None = None

    def is_reached(self, figures: Figures) -> bool:
        """Return whether the figure is there and within its bounds."""
        value = figures.get(self.figure)
        if value is None:
            return False
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def bound(self) -> str:
        """What is asked, in words."""
        return f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"


def progress() -> Progress:
    """Return a progress display, on standard error."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<44}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


def tell(
    name: str, title: str, rows: Sequence[Mapping[str, object]], figures: Figures, goals: Sequence[Goal]
) -> bool:
    """Print the table, the goals, and last the line of JSON; return whether every goal was reached."""
    console = Console(width=max(110, Console().width))
    console.print(_table(f"{title} ({os.cpu_count()} cores)", rows))
    for goal in goals:
        is_reached = goal.is_reached(figures)
        value = figures.get(goal.figure)
        shown = "not measured" if value is None else f"{value:g}"
        console.print(f"{'reached' if is_reached else 'MISSED ':<8} {goal.figure}: {shown}, {goal.bound}")
    is_all_reached = all(goal.is_reached(figures) for goal in goals)
    print(json.dumps({"bench": name, "figures": figures, "reached": is_all_reached}), flush=True)
    return is_all_reached


def _table(title: str, rows: Sequence[Mapping[str, object]]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in rows[0]:
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    return table


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= WHOLE_FROM else f"{value:,.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
