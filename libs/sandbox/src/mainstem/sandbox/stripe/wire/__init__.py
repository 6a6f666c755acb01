"""Stripe's wire format. Owns forms, parameters, pages of lists, URLs, API versions and errors. Writes
nothing. Imported by every other room of this stand-in, and by `sandbox.stack` for API versions.
"""
