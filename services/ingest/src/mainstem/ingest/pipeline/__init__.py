"""Pipeline from a claimed event to its commit: read, lock, mirror, derive, announce, settle (stops 3 to 6).

Owns the batch: how events are read in each mode, the order of locks, and what happens when a commit fails.
Writes `outbox.entry`; its commit calls `mirror`, `subscriptions` and `inbox`, which write their own tables.
Imported by `worker`.
"""
