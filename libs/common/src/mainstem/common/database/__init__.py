"""Postgres: pool, sessions, guards of connections, bounds of texts and kinds of errors."""
