"""Stripe: the client of its API with idempotency keys and repeats, and the refusals that it answers with.

Owns the only import of the `stripe` SDK in billing, and the masking of Stripe's messages.
Writes no table.
Imported by `accounts`, `operations`, `checkout`, `portal` and `assembly`.
"""
