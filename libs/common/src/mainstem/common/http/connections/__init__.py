"""Inbound connections. Owns strict parsing of HTTP/1.1, limits in bytes, seconds and connections, refusals,
and the server with its shutdown in two steps. Writes no tables. Imported by `common.http` and by the
gateway's proxy, which applies the same limits.
"""
