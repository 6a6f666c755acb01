"""Events and their delivery. Owns events as Stripe lists them, webhook endpoints, and the sending of signed
webhooks with its retries. Writes events' endpoints and deliveries to the account's state. Imported by `edge`
and `stand_in`.
"""
