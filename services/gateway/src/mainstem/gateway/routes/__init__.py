"""Routes: table of rules from method and path to upstream, scope and limits.

Owns the scopes that exist, the paths of the gateway itself and the checks of the file of routes.
Writes no table; `routes.toml` stands in the package above.
Imported by `clients`, `keys`, `tokens`, `proxy` and `app`.
"""
