"""Acoustic."""
