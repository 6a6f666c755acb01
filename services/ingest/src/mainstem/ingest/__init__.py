"""Facts of the providers: signed events in, mirror and product subscriptions out.

Owns the facts of the providers, stops 1 to 6 of the flow: receive, record, fetch, mirror, derive, announce.
Writes the schemas `inbox`, `stripe` and `subscription`, and `outbox.entry`.
Imported by no other distribution; `app` and `worker` put its rooms together.
"""
