"""Customers, and the subscriptions that they begin, change and end."""
