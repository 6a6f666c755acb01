"""One chaos run: a stack of its own, load and storm upon it, quiet, and the comparison with the oracle."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from rich.console import Console
from tests.chaos.callers import Application, Seller, open_callers
from tests.chaos.comparison import Comparison, compare
from tests.chaos.control import Control, open_control
from tests.chaos.faults import Storm
from tests.chaos.load import ACTORS, Actor, Load
from tests.chaos.oracle import Holdings
from tests.chaos.pace import Pace
from tests.chaos.quiet import NotQuietError, until_quiet, until_ready
from tests.chaos.report import Progress, Report
from tests.chaos.schedule import plan
from tests.chaos.shop import open_shop
from tests.chaos.tables import Tables

from mainstem.sandbox.stack.folder import Stack
from mainstem.sandbox.stack.launcher import Launcher
from mainstem.sandbox.stack.programs import PROGRAMS, Program

SECOND_WORKERS = tuple(
    Program(f"{service}-second-worker", (service, "work"), port, service)
    for service, port in (("ingest", 8031), ("sync", 8032))
)
LOOKS = 5
"""How often all is read anew because the world went on meanwhile."""


@dataclass(frozen=True)
class Wish:
    """What kind of run is wanted."""

    seed: int
    minutes: float
    events: int

    @property
    def seconds(self) -> float:
        """How long the storm lasts."""
        return self.minutes * 60


@dataclass
class Scene:
    """Everything that a run works with."""

    stack: Stack
    launcher: Launcher
    control: Control
    tables: Tables
    seller: Seller
    application: Application
    progress: Progress


async def run(wish: Wish, console: Console) -> Report:
    """Do a run and return its report.

    Raises:
        ServerError: the stack cannot be started.
    """
    began = time.monotonic()
    async with _open_scene(wish, console) as scene:
        storm = Storm(scene.launcher, scene.stack, scene.control, scene.progress.strike)
        load = await _rage(wish, scene, storm)
        stormed = time.monotonic()
        comparison, holdings = await _look(scene, load)
        figures = {
            **await _figures(scene, holdings),
            "seconds of storm": round(stormed - began, 1),
            "seconds to quiet": round(time.monotonic() - stormed, 1),
        }
        return Report(
            wish.seed,
            wish.minutes,
            storm.struck,
            scene.control.befallen(),
            load.acts,
            figures,
            comparison,
        )


@asynccontextmanager
async def _open_scene(wish: Wish, console: Console) -> AsyncIterator[Scene]:
    launcher = Launcher(programs=(*PROGRAMS, *SECOND_WORKERS))
    console.print(f"seed {wish.seed}: a storm of {wish.minutes:g} minutes over {wish.events:,} events")
    async with (
        launcher as stack,
        open_control(stack) as control,
        open_callers(stack) as (seller, application),
    ):
        progress = Progress(console, wish.seconds)
        tables = Tables(stack.database_url)
        showing = asyncio.create_task(progress.run())
        try:
            yield Scene(stack, launcher, control, tables, seller, application, progress)
        finally:
            showing.cancel()
            with suppress(asyncio.CancelledError):
                await showing
            await tables.close()


async def _rage(wish: Wish, scene: Scene, storm: Storm) -> Load:
    """Let the storm rage over the load; return once the load has ended and the faults are over."""
    shop = await open_shop(scene.seller)
    pace = Pace(wish.events, wish.seconds)
    actors = [
        Actor(
            number,
            random.Random(f"{wish.seed} {number}"),
            seller=scene.seller,
            application=scene.application,
            tables=scene.tables,
            shop=shop,
        )
        for number in range(ACTORS)
    ]
    load = Load(actors, pace)
    async with asyncio.TaskGroup() as group:
        counting = group.create_task(_count(scene, pace))
        group.create_task(load.run())
        await storm.rage(plan(wish.seed, wish.seconds))
        await _clear_up(scene)
        await pace.reached.wait()
        load.stop()
        counting.cancel()
    return load


async def _clear_up(scene: Scene) -> None:
    """End every fault that could go on by itself."""
    scene.progress.phase = "clearing up"
    await scene.control.clear()
    await scene.control.release()
    await until_ready(scene.stack)


async def _count(scene: Scene, pace: Pace) -> None:
    while True:
        count = await scene.tables.count_events()
        if count is not None:
            scene.progress.events = count
            pace.take_note(count)
        await asyncio.sleep(0.5)


async def _look(scene: Scene, load: Load) -> tuple[Comparison, Holdings]:
    """Wait for quiet and compare; again where the world went on by itself meanwhile."""
    scene.progress.phase = "waiting for quiet"
    for _ in range(LOOKS):
        try:
            counts = await until_quiet(scene.control)
        except NotQuietError as error:
            comparison, holdings = await _compare(scene, load)
            comparison.none("quiet", [str(error)])
            return comparison, holdings
        comparison, holdings = await _compare(scene, load)
        dead = [f"{counts['dead_letters']} events were given up"] if counts["dead_letters"] else []
        comparison.none("dead letters", dead)
        if len((await scene.control.holdings("stripe"))["event"]) == len(holdings.events):
            break
    return comparison, holdings


async def _compare(scene: Scene, load: Load) -> tuple[Comparison, Holdings]:
    scene.progress.phase = "comparing"
    return await compare(scene.control, scene.tables, scene.application, load.people)


async def _figures(scene: Scene, holdings: Holdings) -> dict[str, float]:
    tables, control = scene.tables, scene.control
    requests = (await control.holdings("acoustic"))["requests"]
    return {
        "events": len(holdings.events),
        "events sent twice": control.befallen().get("stripe.webhook duplicate", 0) + control.released_twice,
        "events sent late": control.befallen().get("stripe.webhook delay", 0),
        "events failed on the way": control.befallen().get("stripe.webhook drop", 0),
        "claims of events": await tables.count("SELECT sum(claims) FROM inbox.event"),
        "failures of events": await tables.count("SELECT sum(failures) FROM inbox.event"),
        "announcements": await tables.count("SELECT count(*) FROM outbox.entry"),
        "requests to Acoustic": await tables.count("SELECT count(*) FROM contact.delivery_log"),
        "requests to Acoustic without an answer": await tables.count(
            "SELECT count(*) FROM contact.delivery_log WHERE outcome = 'unknown'"
        ),
        "most requests at once at Acoustic": requests["most_at_once"],
        "requests rejected by Acoustic's limit": requests["rejected"],
        "requests repeated by callers": scene.seller.repeats + scene.application.repeats,
    }
