"""`mainstem sandbox demo`: a fresh stack, the story on it, and an exit code."""

import asyncio
from pathlib import Path

from rich.console import Console

from mainstem.sandbox.demo.actors import DemoError
from mainstem.sandbox.demo.browser import NotOnPageError
from mainstem.sandbox.demo.play import play
from mainstem.sandbox.stack.assembly import Options
from mainstem.sandbox.stack.folder import DEFAULT_RUN
from mainstem.sandbox.stack.launcher import Launcher
from mainstem.sandbox.stack.up import Progress, cancel_on_signal

WIDTH = 132


async def run_demo(*, valkey: bool, scramble: bool, run: Path | None) -> bool:
    """Play the story on a stack of its own and return whether every expectation held.

    Raises:
        ServerError: the stack cannot be started.
    """
    console = Console(highlight=False, width=None if Console().is_terminal else WIDTH)
    options = Options(stack_file=(run or DEFAULT_RUN) / "stack.json", valkey=valkey)
    try:
        with cancel_on_signal():
            async with Launcher(options, report=Progress(console)) as stack:
                return await play(stack, console, scramble=scramble)
    except (DemoError, NotOnPageError) as error:
        console.print(f"[bold red]the story stopped:[/bold red] {error}", markup=True)
        return False
    except asyncio.CancelledError:
        console.print("interrupted")
        return False
