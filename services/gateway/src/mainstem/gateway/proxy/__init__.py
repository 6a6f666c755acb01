"""Proxy: forwards a request by its rule over pooled HTTP/1.1 connections, and streams the answer back.

The room owns the upstream connections, their circuit breakers and the framing of every forwarded message.
It writes no table. `app` opens it, and `endpoints` calls `forward.Proxy`; nothing else may import it.
"""
