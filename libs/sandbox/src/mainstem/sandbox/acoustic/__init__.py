"""Stand-in for Acoustic Campaign. Owns its OAuth tokens, its XML API, its tables and its limit of concurrent
requests. Writes `acoustic.sqlite` in the sandbox's folder. Imported by `sandbox.world`.
"""
