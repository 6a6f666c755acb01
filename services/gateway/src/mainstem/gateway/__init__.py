"""Gateway: authenticates API clients, authorises their requests by route and proxies them to the services.

Owns API clients, roles, access tokens, signing keys and routes.
Writes the schema `gateway`, which no other service reads.
Imported by no other distribution: services know its tokens by `common.http.identity` alone.
"""
