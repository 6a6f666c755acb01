"""Billing: accounts of payers, their checkouts, the portal, and operations at Stripe.

Owns the schema `billing` and the tie between an owner and a customer at Stripe.
Writes `billing.account`, `billing.reservation` and `billing.operation`, and hints into `inbox.event`.
Imported by no other service; the sandbox starts it by its command.
"""
