"""Contacts, and what the marketing platforms know of them."""
