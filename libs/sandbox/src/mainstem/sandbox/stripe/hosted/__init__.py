"""Sessions that Stripe hosts. Owns Checkout sessions, billing portal sessions and configurations, and the
purchase in a Checkout session. Writes those objects to the account's state. Imported by `pages` and `edge`.
"""
