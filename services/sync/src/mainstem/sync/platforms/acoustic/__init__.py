"""Acoustic: contacts as rows of its main table and its product table, sent by its XML API.

Owns the columns, the XML envelopes and the access token of Acoustic.
Writes no table.
Imported by `worker` alone.
"""
