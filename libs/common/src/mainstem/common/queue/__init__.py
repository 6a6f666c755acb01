"""Postgres as the queue of record. Owns recording into the inbox, outbox entries, hints, leases, grouping of
calls, wake-ups over Redis and the drain loops of workers. Writes `inbox.event`, `inbox.account` and
`outbox.entry`. Imported by `common.http.health`, by the services wherever work is recorded, claimed or
announced, and by the demo.
"""
