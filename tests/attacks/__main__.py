"""`./just attacks`: hostile connections on a whole stack, beside innocent callers that must not notice."""

import asyncio
import random
import sys
from pathlib import Path

from cyclopts import App

from mainstem.sandbox.servers.process import die_with_parent

WIDTH = 132
FIXTURES = Path(__file__).parents[1] / "fixtures"
ATTACKS_A_MINUTE = 20_000

app = App(
    name="attacks", help="Send hostile HTTP to a whole stack, beside innocent callers.", version_flags=()
)


@app.default
def attacks(
    *, minutes: float = 2.0, seed: int | None = None, most: int | None = None, report: Path | None = None
) -> None:
    """Attack a stack, and compare what it understood with what its upstreams received.

    Args:
        minutes: how long the attacks go on.
        seed: decides the attacks and their order; repeat a former run's seed to repeat its attacks.
        most: how many attacks at most.
        report: page whose figures of the last run are replaced, as in `docs/reference/attacks.md`.
    """
    die_with_parent()
    sys.path.insert(0, str(FIXTURES))
    # Loaded after the line above, since loading takes a while.
    from rich.console import Console  # noqa: PLC0415 -- see above
    from tests.attacks.run import Wish, run  # noqa: PLC0415 -- see above

    from mainstem.sandbox.stack.up import cancel_on_signal  # noqa: PLC0415 -- see above

    async def play() -> bool:
        console = Console(highlight=False, width=None if Console().is_terminal else WIDTH)
        chosen = random.randrange(1_000_000) if seed is None else seed
        with cancel_on_signal():
            found = await run(Wish(chosen, minutes, most or round(minutes * ATTACKS_A_MINUTE)), console)
        found.show(console)
        if report is not None:
            found.write(report)
        print(found.as_json())  # noqa: T201 -- rich would break the line
        return not found.problems

    try:
        held = asyncio.run(play())
    except asyncio.CancelledError:
        raise SystemExit(130) from None
    raise SystemExit(0 if held else 1)


if __name__ == "__main__":
    app()
