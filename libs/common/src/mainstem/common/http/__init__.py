"""HTTP of every process, inbound and outbound. Owns the app, endpoint declarations, routing, strict reading
of JSON bodies, identities, health checks, the client and its circuit breaker. Writes no tables. Imported by
the services: by their `app`, `worker`, endpoints and doors, and where they call upstreams.
"""
