"""Sync: stores contacts and delivers them to the marketing platforms (stops 7 and 8).

Owns contacts, their deliveries and the platforms that receive them.
Writes the schema `contact`, and settles its own entries of `outbox.entry`.
Imported by no other distribution.
"""
