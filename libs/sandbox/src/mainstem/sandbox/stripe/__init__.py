"""Stripe, offline: a small stateful account that the official SDK talks to without noticing."""
