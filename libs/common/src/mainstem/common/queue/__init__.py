"""Postgres as the queue: inbox, outbox, hints, leases, wake-ups and drain loops."""
