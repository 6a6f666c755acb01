"""Calls to other services. Owns the client with its retries, the circuit breaker, the transport, and the
response of an upstream or the error that stands for its lack. Writes no tables. Imported by the gateway's
proxy, by sync's platforms and by `common.http`.
"""
