"""Billing accounts: registration of payers, and the one customer at Stripe of each account.

Owns the bodies that name an owner, and the requests that create a customer.
Writes `billing.account`.
Imported by `checkout`, `portal`, `operations`, `mirror`, `assembly` and `app`.
"""
