"""Portal: sessions of Stripe's billing portal, and the list of an owner's subscriptions.

Owns the choice of the subscription that a portal request acts on, and the check of its return URL.
Writes no table; a cancellation is taken back through `operations`.
Imported by `assembly` and `app`.
"""
