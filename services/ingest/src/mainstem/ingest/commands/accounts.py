"""Commands `accounts …`: the providers' accounts, listed and accepted."""

import asyncio

from cyclopts import App

from mainstem.ingest.commands.database import in_transaction
from mainstem.ingest.commands.output import print_json

app = App(name="accounts", help="Look at the providers' accounts, and let stopped ones go on.")


@app.command(name="list")
def list_accounts() -> None:
    """List the providers' accounts, one a line as JSON, with what stops them in `problem`."""
    from mainstem.ingest.accounts.storage import list_accounts as listed  # noqa: PLC0415 -- so that `--help` does not wait for it

    for account in asyncio.run(in_transaction(listed)):
        print_json(account)


@app.command
def accept(name: str, provider_id: str | None = None, /) -> None:
    """Let a stopped account go on; its events are claimed again within a second.

    Args:
        name: name of the account, as `list` shows it.
        provider_id: id at the provider that the account's key answers for from now on, such as `acct_…`;
            without it the recorded one stays.
    """
    from mainstem.ingest.accounts.storage import accept as accepted  # noqa: PLC0415 -- so that `--help` does not wait for it
    from mainstem.ingest.providers.stripe.reader import PROVIDER  # noqa: PLC0415 -- so that `--help` does not wait for it

    print_json(asyncio.run(in_transaction(accepted, PROVIDER, name, provider_id)))
