"""Commands `events …`: recorded events, listed and replayed."""

import asyncio
from typing import Literal

from cyclopts import App

from mainstem.ingest.commands.database import in_transaction
from mainstem.ingest.commands.output import print_json
from mainstem.ingest.settings import Settings

app = App(name="events", help="Look at recorded events, and have them processed again.")


@app.command(name="list")
def list_events(
    *, status: Literal["received", "done", "ignored", "dead"] = "dead", after: int = 0, limit: int = 100
) -> None:
    """List recorded events, one a line as JSON, by order of recording.

    Args:
        status: which ones.
        after: the number (`id`) to go on after.
        limit: how many at most.
    """
    from mainstem.ingest.inbox.replay import list_events as listed  # noqa: PLC0415 -- so that `--help` does not wait for it

    for event in asyncio.run(in_transaction(listed, status, after, limit)):
        print_json(event)


@app.command
def replay(ids: list[int]) -> None:
    """Have dead, done or ignored events processed again, as if they had just come in.

    Prints which ids were `replayed`, and which were `left`: these do not exist, or are still to be processed.

    Args:
        ids: their numbers (`id`), as `list` shows them.
    """
    from mainstem.common.clock import open_clock  # noqa: PLC0415 -- so that `--help` does not wait for it
    from mainstem.ingest.inbox.replay import replay as replayed  # noqa: PLC0415 -- so that `--help` does not wait for it

    now = open_clock(Settings.from_environment().clock_file).now()
    taken = asyncio.run(in_transaction(replayed, ids, now))
    print_json({"replayed": taken, "left": sorted({*ids} - {*taken})})
