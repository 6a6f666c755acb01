"""HTTP for every process: guarded connections on the listening side.

Owns no table. `server` starts it; services see it through `web` alone.
"""
