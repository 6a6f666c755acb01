"""Tokens: the token endpoint, access tokens and the signed identities that upstreams get.

Owns the verification of credentials and of bearer tokens, and the limits of failed logins, in memory.
Writes no table; it notes the last use of a secret through `clients`.
Imported by `proxy` and `app`.
"""
