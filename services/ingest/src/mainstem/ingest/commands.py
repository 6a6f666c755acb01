"""`mainstem ingest`."""

import asyncio
from typing import Any, Literal

from cyclopts import App

from mainstem.ingest.settings import Settings

app = App(
    name="ingest", help="What the providers say: signed events in, mirror and product subscriptions out."
)
events = App(name="events", help="Look at recorded events, and have them processed again.")
app.command(events)
accounts = App(name="accounts", help="Look at the providers' accounts, and let stopped ones go on.")
app.command(accounts)
rules = App(name="rules", help="Rule sets, by which product subscriptions are concluded: compare and switch.")
app.command(rules)


@app.command
def serve(*, host: str | None = None, port: int | None = None) -> None:
    """Serve HTTP until SIGTERM.

    Args:
        host: address to listen on, instead of MAINSTEM_HOST.
        port: port to listen on, instead of MAINSTEM_PORT.
    """
    # Imported here, so that `--help` does not wait for them; the same below.
    from mainstem.common.http import app as web  # noqa: PLC0415 -- see above
    from mainstem.ingest.app import build  # noqa: PLC0415 -- see above

    settings = _settings(host, port)
    web.serve(build(settings), settings)


@app.command
def work(*, host: str | None = None, port: int | None = None) -> None:
    """Process recorded events until SIGTERM; health and metrics are served meanwhile.

    Args:
        host: address to listen on, instead of MAINSTEM_HOST.
        port: port to listen on, instead of MAINSTEM_PORT.
    """
    from mainstem.common.http import app as web  # noqa: PLC0415 -- see above
    from mainstem.ingest.worker import build  # noqa: PLC0415 -- see above

    settings = _settings(host, port)
    web.serve(build(settings), settings)


@events.command(name="list")
def list_events(
    *, status: Literal["received", "done", "ignored", "dead"] = "dead", after: int = 0, limit: int = 100
) -> None:
    """List recorded events, one a line as JSON, by order of recording.

    Args:
        status: which ones.
        after: the number (`id`) to go on after.
        limit: how many at most.
    """
    from mainstem.ingest.inbox.replay import list_events as listed  # noqa: PLC0415 -- see above

    for event in asyncio.run(_in_transaction(listed, status, after, limit)):
        _print(event)


@events.command
def replay(ids: list[int]) -> None:
    """Have dead, done or ignored events processed again, as if they had just come in.

    Prints which ids were `replayed`, and which were `left`: these do not exist, or are still to be processed.

    Args:
        ids: their numbers (`id`), as `list` shows them.
    """
    from mainstem.common.clock import open_clock  # noqa: PLC0415 -- see above
    from mainstem.ingest.inbox.replay import replay as replayed  # noqa: PLC0415 -- see above

    now = open_clock(Settings.from_environment().clock_file).now()
    taken = asyncio.run(_in_transaction(replayed, ids, now))
    _print({"replayed": taken, "left": sorted({*ids} - {*taken})})


@accounts.command(name="list")
def list_accounts() -> None:
    """List the providers' accounts, one a line as JSON, with what stops them in `problem`."""
    from mainstem.ingest.accounts.storage import list_accounts as listed  # noqa: PLC0415 -- see above

    for account in asyncio.run(_in_transaction(listed)):
        _print(account)


@accounts.command
def accept(name: str, provider_id: str | None = None, /) -> None:
    """Let a stopped account go on; its events are claimed again within a second.

    Args:
        name: name of the account, as `list` shows it.
        provider_id: id at the provider that the account's key answers for from now on, such as `acct_…`;
            without it the recorded one stays.
    """
    from mainstem.ingest.accounts.storage import accept as accepted  # noqa: PLC0415 -- see above
    from mainstem.ingest.providers.stripe.reader import PROVIDER  # noqa: PLC0415 -- see above

    _print(asyncio.run(_in_transaction(accepted, PROVIDER, name, provider_id)))


@rules.command(name="list")
def list_rules() -> None:
    """List the rule sets, one a line as JSON: name, digest, and since when one is active."""
    from mainstem.ingest.upkeep.reports import list_sets  # noqa: PLC0415 -- see above

    for described in asyncio.run(_in_transaction(list_sets)):
        _print(described)


@rules.command(name="compare")
def compare_rules(name: str) -> None:
    """Show what would change if a rule set were activated; nothing is written.

    One line as JSON for each product of an owner that would change: its key, `change` (`gain`, `lose` or
    `change`), and the columns that differ, `from` and `to`. The last line counts them.
    Owners are identities of persons: the output is personal data.

    Args:
        name: name of the set, as `list` shows it.
    """
    from mainstem.ingest.upkeep.reports import report_comparison  # noqa: PLC0415 -- see above

    asyncio.run(_with_database(report_comparison, name, _print))


@rules.command(name="activate")
def activate_rules(name: str) -> None:
    """Switch to a rule set: compare, activate, and derive every owner again.

    Prints the counts of the comparison, and at the end the counts of the switch. From the activation on
    every event is processed by the new set. If the command is interrupted, run it again, or leave the rest
    to the worker: both go on where it ended. Repeating it after the end changes nothing.

    Args:
        name: name of the set, as `list` shows it.
    """
    from mainstem.common.clock import open_clock  # noqa: PLC0415 -- see above
    from mainstem.ingest.upkeep.reports import report_activation  # noqa: PLC0415 -- see above

    clock = open_clock(Settings.from_environment().clock_file)
    asyncio.run(_with_database(report_activation, clock, name, _print))


async def _in_transaction(act: Any, *values: Any) -> Any:
    async def transact(pool: Any) -> Any:
        async with pool.transaction() as connection:
            return await act(connection, *values)

    return await _with_database(transact)


async def _with_database(act: Any, *values: Any) -> Any:
    from mainstem.common.database.pool import DATABASE_ERRORS, open_pool  # noqa: PLC0415 -- see above
    from mainstem.common.errors import UnavailableError  # noqa: PLC0415 -- see above

    url = Settings.from_environment().database_url.get_secret_value()
    try:
        async with open_pool(url, name="ingest-command", size=1) as pool:
            return await act(pool, *values)
    except DATABASE_ERRORS as error:
        raise UnavailableError(f"the database does not serve this: {type(error).__name__}") from error


def _print(value: Any) -> None:
    import msgspec  # noqa: PLC0415 -- see above

    print(msgspec.json.encode(value).decode())  # noqa: T201 -- what the command is for


def _settings(host: str | None, port: int | None) -> Settings:
    given = {"host": host, "port": port}
    settings = Settings.from_environment()
    return settings.model_copy(update={name: value for name, value in given.items() if value is not None})
