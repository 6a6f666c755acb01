"""Profiles: a contact together with the products of its owner, as platforms receive it.

Owns the groups of a contact, the kinds of identity, and the reading of both from the database.
Writes no table; it reads the schema `contact` and `subscription.v1_product_subscription`.
Imported by `contacts`, `delivery` and `platforms`.
"""
