"""Doors of ingest."""
