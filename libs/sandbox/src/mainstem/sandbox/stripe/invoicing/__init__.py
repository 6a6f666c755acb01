"""Invoices: what a subscription is charged for, and what becomes of it when that is collected or not."""
