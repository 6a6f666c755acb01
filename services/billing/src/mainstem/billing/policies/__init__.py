"""Policies: pure rules about statuses of subscriptions, cancellations and debts.

Owns the tables that say which status is active or cancelable, and which invoice is a debt.
Writes no table and reads none; callers bring the data and the time.
Imported by `mirror`, `operations`, `checkout` and `portal`.
"""
