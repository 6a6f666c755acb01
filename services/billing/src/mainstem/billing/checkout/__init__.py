"""Checkout: prices, reservations, Checkout sessions, the return page, and the sweep of open checkouts.

Owns the rule that an account has at most one live checkout of a product.
Writes `billing.reservation`, and hints into `inbox.event`; creates customers through `accounts`.
Imported by `assembly`, `app` and `worker`.
"""
