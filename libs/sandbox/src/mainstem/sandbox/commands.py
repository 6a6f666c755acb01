"""`mainstem sandbox`: the whole system on one machine."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from mainstem.sandbox.servers.process import die_with_parent

Flag = Annotated[bool, Parameter(negative="")]

app = App(name="sandbox", help="The whole system on one machine, its outside world included.")


@app.command
def up(*, ephemeral: Flag = False, valkey: bool = True, run: Path | None = None) -> None:
    """Start everything and keep it running until Ctrl-C.

    Args:
        ephemeral: free ports, and fresh data that is thrown away.
        valkey: start a Valkey; without one work is found by polling.
        run: the folder for data, clock, logs and `stack.json`; `.run` by default.
    """
    die_with_parent()
    # Loaded after the line above, since loading takes a while.
    from mainstem.sandbox.stack.up import keep_up  # noqa: PLC0415 -- see above

    asyncio.run(keep_up(ephemeral=ephemeral, valkey=valkey, run=run))


@app.command
def demo(*, valkey: bool = True, scramble: Flag = False, run: Path | None = None) -> None:
    """Play a subscription's life on a stack of its own; the exit code says whether all went as it should.

    Args:
        valkey: start a Valkey; without one work is found by polling.
        scramble: hold each step's webhooks, then send each twice, the last first.
        run: the folder for `stack.json`; `.run` by default.
    """
    die_with_parent()
    from mainstem.sandbox.demo.command import run_demo  # noqa: PLC0415 -- see `up`

    if not asyncio.run(run_demo(valkey=valkey, scramble=scramble, run=run)):
        raise SystemExit(1)


@app.command
def world() -> None:
    """Serve the outside world of a stack: the stand-ins and their control; `up` starts this."""
    from mainstem.sandbox.world.app import serve  # noqa: PLC0415 -- only this command needs it

    serve(os.environ["MAINSTEM_HOST"], int(os.environ["MAINSTEM_PORT"]))
