"""Billing's endpoints."""

from mainstem.billing.endpoints import accounts, returns, subscriptions

ENDPOINTS = (*accounts.ENDPOINTS, *subscriptions.ENDPOINTS, *returns.ENDPOINTS)
