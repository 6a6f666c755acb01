"""`./just chaos`: whether everything is as it should be after all went wrong that can."""

import asyncio
import random

from cyclopts import App

from mainstem.sandbox.servers.process import die_with_parent

EVENTS_A_MINUTE = 1_000
WIDTH = 132

app = App(
    name="chaos",
    help="Whether everything is as it should be after all went wrong that can.",
    version_flags=(),
)


@app.default
def chaos(*, minutes: float = 2.0, seed: int | None = None, events: int | None = None) -> None:
    """Let faults rage over a stack while events flow, then compare it with what it should hold.

    Args:
        minutes: how long faults go on; the quiet after them takes a minute or two more.
        seed: what the faults and the load are made of; a former run's seed plays it again.
        events: how many Stripe events flow at least; a thousand a minute by default.
    """
    die_with_parent()
    # Loaded after the line above, since loading takes a while.
    from rich.console import Console  # noqa: PLC0415 -- see above
    from tests.chaos.run import Wish, run  # noqa: PLC0415 -- see above

    from mainstem.sandbox.stack.up import cancel_on_signal  # noqa: PLC0415 -- see above

    async def play() -> bool:
        console = Console(highlight=False, width=None if Console().is_terminal else WIDTH)
        chosen = random.randrange(1_000_000) if seed is None else seed
        with cancel_on_signal():
            wanted = round(minutes * EVENTS_A_MINUTE) if events is None else events
            report = await run(Wish(chosen, minutes, wanted), console)
        report.show(console)
        print(report.as_json())  # noqa: T201 -- rich would break the line
        return report.holds

    try:
        held = asyncio.run(play())
    except asyncio.CancelledError:
        raise SystemExit(130) from None
    raise SystemExit(0 if held else 1)


if __name__ == "__main__":
    app()
