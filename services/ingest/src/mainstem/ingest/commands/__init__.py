"""Commands `mainstem ingest …`: serve and work, and the operator's look at events, accounts and rule sets.

Owns the command line: arguments, help and what is printed; modules are imported when their command runs.
Writes no tables; the rooms that the commands call do.
Imported by the entry point `mainstem.commands` of this distribution.
"""

from cyclopts import App

from mainstem.ingest.commands import accounts, events, rules, serving

app = App(
    name="ingest", help="What the providers say: signed events in, mirror and product subscriptions out."
)
app.command(serving.serve)
app.command(serving.work)
app.command(events.app)
app.command(accounts.app)
app.command(rules.app)
