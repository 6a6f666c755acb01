"""Accounts, checkout and portal, links, seats, entitlements."""
