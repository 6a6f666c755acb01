"""Postgres access. Owns the connection pool, SQLModel sessions, connection guards, advisory locks, bounds of
stored texts and the classes of database errors. Writes no tables: statements stand in the rooms that use it.
Imported by every room that runs SQL, in common, the services and the sandbox.
"""
