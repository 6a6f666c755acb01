"""Platforms: the protocol of a marketing platform, the comparison of table states, and one room a platform.

Owns the tables and requests of each platform; platforms do not import each other.
Writes no table.
Imported by `delivery` (the protocol and the comparison) and `worker` (the platforms).
"""
