"""Customers and their subscriptions. Owns customers, subscriptions, their items, schedules, terms and trial
notices. Writes those objects to the account's state. Imported by `hosted`, `pages` and `edge`.
"""
