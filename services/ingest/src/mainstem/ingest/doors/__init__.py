"""Endpoints that receive: Stripe's signed events, and objects without an event (stops 1 and 2).

Owns the HTTP edge: verify or authorise, read the envelope, record, answer.
Writes no tables; `inbox` records what it receives.
Imported by `app`.
"""
