"""API of the account. Owns the table of endpoints, one step of the account for each request, idempotency
keys, expansion of ids, and the calendar of what falls due. Writes idempotency keys to the archive, and
commits each step. Imported by `pages` and `stand_in`.
"""
