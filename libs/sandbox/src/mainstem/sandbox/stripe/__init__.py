"""Stripe, offline: a small stateful account that the official SDK talks to without noticing.

Its rooms, each of which knows those after it: `edge` answers requests by the table in `endpoints`, each one
step of the account, and has in `calendar` what happens by itself; `delivery` sends events, and sends them
again; `subscribers`, `invoicing` and `goods` are what the account does; `state` is what it holds, kept by
the sandbox's archive step by step, with events, and how that is shown; `wire` is how requests are written.
Answers and events are composed (`state.compose`), shown in an era's shapes (`state.shapes`, `wire.versions`)
and expanded (`edge.expand`). The world composes `stand_in`.

Not here: Connect, coupons, taxes, tiers, meters, schedules, invoices that are sent, charges and payment
intents, and Stripe's hour between an invoice's creation and its payment.
"""
