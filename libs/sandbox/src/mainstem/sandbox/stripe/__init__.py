"""Stand-in for Stripe: one stateful account, and connected ones, that Stripe's own SDK can call. Owns the
API, webhooks, Checkout and portal pages, invoicing and the account's state; `docs/reference/sandbox.md` lists
what is left out. Writes `stripe.sqlite` in the sandbox's folder. Imported by `sandbox.world`, and by
`sandbox.stack` for API versions.
"""
