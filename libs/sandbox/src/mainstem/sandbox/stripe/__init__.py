"""Stripe, offline: a small stateful account that the official SDK talks to without noticing.

Its rooms, each of which knows those after it: `pages` are what a person clicks through; `edge` answers the
API by the table in `endpoints`, each request one step of the account, and has in `calendar` what happens by
itself; `hosted` is Checkout and the billing portal, and `delivery` sends events, and sends them again;
`subscribers`, `invoicing` and `goods` are what the account does; `state` is what it holds, kept by the
sandbox's archive step by step, with events, and how that is shown; `wire` is how requests are written.
Answers and events are composed (`state.compose`), shown in an era's shapes (`state.shapes`, `wire.versions`)
and expanded (`edge.expand`). The world composes `stand_in`.

Not here: Connect, coupons, taxes, tiers, meters, schedules, invoices that are sent, charges and payment
intents, and Stripe's hour between an invoice's creation and its payment.
"""
