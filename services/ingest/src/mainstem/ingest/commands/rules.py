"""Commands `rules …`: rule sets, listed, compared and activated."""

import asyncio

from cyclopts import App

from mainstem.ingest.commands.database import in_transaction, with_database
from mainstem.ingest.commands.output import print_json
from mainstem.ingest.settings import Settings

app = App(name="rules", help="Rule sets, by which product subscriptions are concluded: compare and switch.")


@app.command(name="list")
def list_rules() -> None:
    """List the rule sets, one a line as JSON: name, digest, and since when one is active."""
    from mainstem.ingest.upkeep.reports import list_sets  # noqa: PLC0415 -- so that `--help` does not wait for it

    for described in asyncio.run(in_transaction(list_sets)):
        print_json(described)


@app.command(name="compare")
def compare_rules(name: str) -> None:
    """Show what would change if a rule set were activated; nothing is written.

    One line as JSON for each product of an owner that would change: its key, `change` (`gain`, `lose` or
    `change`), and the columns that differ, `from` and `to`. The last line counts them.
    Owners are identities of persons: the output is personal data.

    Args:
        name: name of the set, as `list` shows it.
    """
    from mainstem.ingest.upkeep.reports import report_comparison  # noqa: PLC0415 -- so that `--help` does not wait for it

    asyncio.run(with_database(report_comparison, name, print_json))


@app.command(name="activate")
def activate_rules(name: str) -> None:
    """Switch to a rule set: compare, activate, and derive every owner again.

    Prints the counts of the comparison, and at the end the counts of the switch. From the activation on
    every event is processed by the new set. If the command is interrupted, run it again, or leave the rest
    to the worker: both go on where it ended. Repeating it after the end changes nothing.

    Args:
        name: name of the set, as `list` shows it.
    """
    from mainstem.common.clock import open_clock  # noqa: PLC0415 -- so that `--help` does not wait for it
    from mainstem.ingest.upkeep.reports import report_activation  # noqa: PLC0415 -- so that `--help` does not wait for it

    clock = open_clock(Settings.from_environment().clock_file)
    asyncio.run(with_database(report_activation, clock, name, print_json))
