"""Clients: programs that may request tokens, with their secrets, scopes and roles.

Owns the Argon2id hashes of client secrets, the roles and the directory that requests read.
Writes `gateway.api_client`, `gateway.role`, `gateway.permission` and `gateway.client_role`.
Imported by `tokens`, `commands` and `app`.
"""
