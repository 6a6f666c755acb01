"""Accounts at the providers: mode and epoch of each, its side, its parent, and what stops it.

Owns the configured and the connected accounts, and the proof that a key still answers for its account.
Writes `inbox.account`.
Imported by `doors`, `inbox`, `pipeline`, `commands`, `app` and `worker`.
"""
