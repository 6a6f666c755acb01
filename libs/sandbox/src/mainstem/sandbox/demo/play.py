"""Run of the story on a stack: shows each stop while it goes, and whether every expectation held."""

import time
from collections.abc import Sequence
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

from mainstem.sandbox.demo.actors import Actors, open_actors
from mainstem.sandbox.demo.expectations import Expectation, Person
from mainstem.sandbox.demo.stops import Stop, mark, read
from mainstem.sandbox.demo.story import STORY, Step
from mainstem.sandbox.stack.folder import Stack


@dataclass(frozen=True)
class Played:
    """One step, as it went."""

    title: str
    seconds: float
    stops: Sequence[Stop]
    expectations: Sequence[Expectation]

    @property
    def holds(self) -> bool:
        """Whether all that was expected of it is true."""
        return all(expectation.holds for expectation in self.expectations)


async def play(stack: Stack, console: Console, *, scramble: bool = False) -> bool:
    """Play the whole story and return whether every expectation held.

    Args:
        stack: a fresh one.
        console: where to show it.
        scramble: hold each step's webhooks, then send each twice, the last first.

    Raises:
        DemoError: the story could not go on.
        NotOnPageError: a page lacked what was to be clicked.
    """
    played = []
    async with open_actors(stack) as actors:
        person = Person()
        with _progress(console) as progress:
            task = progress.add_task("", total=len(STORY))
            for step in STORY:
                progress.update(task, description=step.title)
                played.append(await _play_step(step, actors, person, scramble=scramble))
                progress.advance(task)
    for number, one in enumerate(played, 1):
        _show(console, number, one)
    return _show_verdict(console, played)


async def _play_step(step: Step, actors: Actors, person: Person, *, scramble: bool) -> Played:
    world = actors.world
    since = await mark(actors.database, await world.now(), await world.fetches())
    started_at = time.monotonic()
    if scramble:
        await world.hold()
    await step.act(actors, person)
    if scramble:
        await world.release_scrambled()
    await world.settle()
    seconds = time.monotonic() - started_at
    stops = await read(actors.database, since, await world.fetches())
    return Played(step.title, seconds, stops, await step.expect(actors, person))


def _progress(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True)


def _show(console: Console, number: int, played: Played) -> None:
    title = f"{number}. {played.title} ({played.seconds:.1f} s)"
    table = Table(title=title, title_justify="left", title_style="bold", expand=False)
    table.add_column("stop", no_wrap=True)
    table.add_column("what was written", overflow="fold")
    table.add_column("after", justify="right", no_wrap=True)
    table.add_column("trace", no_wrap=True)
    for stop in played.stops:
        after = "" if stop.after_ms is None else f"{stop.after_ms:,.0f} ms"
        table.add_row(f"{stop.number} {stop.verb}", stop.wrote, after, stop.trace_id or "")
    if played.stops:
        console.print(table)
    else:
        console.print(f"[bold]{title}[/bold]")
    for expectation in played.expectations:
        _show_expectation(console, expectation)
    console.print()


def _show_expectation(console: Console, expectation: Expectation) -> None:
    if expectation.holds:
        console.print(f"  [green]yes[/green]  {expectation.claim}")
        return
    seen = f"expected {expectation.expected!r}, saw {expectation.seen!r}"
    console.print(f"  [red]NO[/red]   {expectation.claim}: {seen}", highlight=False)


def _show_verdict(console: Console, played: Sequence[Played]) -> bool:
    expectations = [expectation for one in played for expectation in one.expectations]
    held = sum(expectation.holds for expectation in expectations)
    colour = "green" if held == len(expectations) else "red"
    console.print(f"[bold {colour}]{held} of {len(expectations)} expectations held[/bold {colour}]")
    return held == len(expectations)
