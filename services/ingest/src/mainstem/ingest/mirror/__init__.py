"""Mirror of the provider's objects: the newest copy of each, and each distinct version of it (stop 4).

Owns the rule that only a greater version overwrites, tombstones, and the SQL made from `tables`.
Writes `stripe.customer`, `stripe.product`, `stripe.price`, `stripe.subscription`, `stripe.subscription_item`,
`stripe.invoice`, `stripe.invoice_line` and `stripe.revision`.
Imported by `pipeline`.
"""
