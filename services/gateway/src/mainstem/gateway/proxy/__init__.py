"""Proxy: forwards a request by its route over pooled HTTP/1.1 connections, and streams the answer back.

Owns the upstream connections, their circuit breakers, the framing of every forwarded message, and the
endpoint that authorises a request before it is forwarded.
Writes no table.
Imported by `app` alone.
"""
