"""Commands: `mainstem gateway`, its server and the tools of its operators.

Owns the command line of the gateway.
Writes no table itself; each command is one transaction over the storage of the rooms `clients` and `keys`.
Imported by no other room: the entry point `mainstem.commands` loads it.
"""

from cyclopts import App

from mainstem.gateway.commands import clients, keys, roles, serving

app = App(name="gateway", help="Gateway: API clients, tokens, routes, proxy.")
app.command(serving.serve)
app.command(clients.app)
app.command(roles.app)
app.command(keys.app)
