"""Invoices. Owns drafts, lines, prorations, payments, collection with its retries, renewals and the end of
subscriptions. Writes invoices, payments and the subscriptions' statuses to the account's state. Imported by
`subscribers`, `hosted`, `pages` and `edge`.
"""
