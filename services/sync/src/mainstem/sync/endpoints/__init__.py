"""Sync's endpoints."""

from mainstem.sync.endpoints import contacts

ENDPOINTS = contacts.ENDPOINTS
