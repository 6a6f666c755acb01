"""Inbound connections: strict parsing, limits, refusals and the server that ends in two steps."""
