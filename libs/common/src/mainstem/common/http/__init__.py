"""HTTP for every process: guarded connections, declared endpoints, limits, strict reading of JSON bodies.

The room writes no tables.
`server` starts guarded connections, `web` builds each app from endpoints; services import `endpoint` to
declare and `bodies` to read.
"""
