"""Operations: changes of objects at Stripe, each stored before its first attempt and repeated under its keys.

Owns the retry of an operation whose outcome is unknown.
Writes `billing.operation`, and hints into `inbox.event`.
Imported by `portal`, `assembly` and `worker`.
"""
