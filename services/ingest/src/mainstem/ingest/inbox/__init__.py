"""Inbox of events: each stored once, claimed under a lease, settled, retried or laid aside (stop 2).

Owns recording, claims scheduled by account, dead letters, replay and the age of the backlog.
Writes `inbox.event`, and `inbox.account` when an event names a connected account for the first time.
Imported by `doors`, `pipeline`, `commands`, `app` and `worker`.
"""
