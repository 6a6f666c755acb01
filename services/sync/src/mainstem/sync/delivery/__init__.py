"""Delivery: marks contacts as due to a platform, and sends each platform what differs from the last send.

Owns the relay of outbox entries (stop 7), the deliverer (stop 8), its retries and the slots of each platform.
Writes `contact.delivery`, `contact.delivery_log`, `contact.slot` and `contact.slot_holder`, and settles
`outbox.entry`.
Imported by `contacts` (to mark a change) and `worker`.
"""
