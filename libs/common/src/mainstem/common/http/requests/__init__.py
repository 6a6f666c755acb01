"""Inbound requests. Owns reading of bodies within a limit, the memory budget for bodies, and cancellation
when a client disconnects. Writes no tables. Imported by `common.http` and by the gateway's proxy.
"""
