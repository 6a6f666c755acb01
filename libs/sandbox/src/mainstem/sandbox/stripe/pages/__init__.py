"""HTML pages of Checkout and the billing portal, without scripts. Owns their routes, forms, markup and style.
Writes nothing itself: each form runs one step of the account through `hosted` and `subscribers`. Imported by
`stand_in`.
"""
