"""Goods and their payment. Owns products, prices, billing periods, test cards and payment methods. Writes
those objects to the account's state. Imported by `invoicing`, `subscribers`, `hosted`, `pages` and `edge`.
"""
