"""Providers: signatures, events, fetches and rows, one room a provider, behind one protocol.

Owns the shapes that travel to the pipeline, and all knowledge of what a provider sends.
Writes no tables.
Imported by `accounts`, `doors`, `mirror`, `pipeline`, `commands`, `app` and `worker`.
"""
