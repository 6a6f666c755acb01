"""Keys: Ed25519 key pairs that sign access tokens and identities, and the JWKS endpoint.

Owns rotation: each key is published before it signs, and for as long as its tokens live.
Writes `gateway.signing_key`.
Imported by `tokens`, `commands` and `app`.
"""
