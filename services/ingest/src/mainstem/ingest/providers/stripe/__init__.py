"""Stripe: its signatures, events and bare objects, the reader of its API, and its objects as rows.

Owns Stripe's shapes of both eras, and is the only importer of Stripe's SDK in ingest.
Writes no tables.
Imported by `doors`, `pipeline`, `commands`, `app` and `worker`.
"""
