"""Stripe, offline: a small stateful account that the official SDK talks to without noticing.

A request comes in at `answering`, by the table in `endpoints`, and is one step of the `account`: a
behaviour (`customers`, `catalog`, `subscribing`, `subscriptions`, `invoice_calls` ...) changes held objects
in the `store` and records events in the `history`; the sandbox's archive keeps both, step by step. What falls
due by itself is in `due` (when) and `calendar` (what). Answers and events are composed (`compose`), shown in
an era's shapes (`shapes`, `versions`) and expanded (`expand`); `webhooks` sends events, and `deliveries` says
which are unconfirmed. The world composes `stand_in`.

Not here: checkout, the portal, Connect, coupons, taxes, tiers, meters, schedules, invoices that are sent,
charges and payment intents, and Stripe's hour between an invoice's creation and its payment.
"""
