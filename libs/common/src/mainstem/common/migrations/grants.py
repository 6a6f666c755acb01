"""Database privileges of each role: one table in code, applied after every upgrade in its transaction.

One writer a table; readers of another service's schema read its `v1_` views.
Grants hang on group roles without login; the logins that a deployment creates are members of them.
"""

from collections.abc import Iterator

ROLES = ("mainstem_ingest", "mainstem_sync", "mainstem_billing", "mainstem_gateway")

WRITERS = {
    "inbox": "mainstem_ingest",
    "stripe": "mainstem_ingest",
    "subscription": "mainstem_ingest",
    "contact": "mainstem_sync",
    "billing": "mainstem_billing",
    "gateway": "mainstem_gateway",
}
"""The one role that writes each schema."""

SHARED_INSERTS = ("inbox.event", "outbox.entry")
"""Tables into which every service may insert: hints, and outbox entries."""

CONSUMERS = ("mainstem_ingest", "mainstem_sync", "mainstem_billing")
"""Roles that settle outbox entries."""

SETTLE = (
    "due_at",
    "lease_owner",
    "lease_token",
    "lease_expires_at",
    "claims",
    "failures",
    "last_error",
    "settled_at",
)
"""Columns of an outbox entry that a consumer may change."""

READERS = {
    "inbox.v1_hint": ("mainstem_billing",),
    "stripe.v1_invoice": ("mainstem_billing",),
    "stripe.v1_price": ("mainstem_billing",),
    "stripe.v1_product": ("mainstem_billing",),
    "stripe.v1_subscription": ("mainstem_billing",),
    "stripe.v1_subscription_item": ("mainstem_billing",),
    "subscription.v1_owner": ("mainstem_billing",),
    "subscription.v1_product_subscription": ("mainstem_sync", "mainstem_billing"),
}
"""Views across schemas, and who reads them."""

CREATE_ROLE = """
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
    CREATE ROLE {role} NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""
# Roles belong to the cluster: two databases that migrate at once both try, and the loser sees either error.


def statements() -> Iterator[str]:
    """Yield every statement, in order. Safe to repeat: what is not granted here is revoked."""
    for role in ROLES:
        yield CREATE_ROLE.format(role=role)
    for schema in (*WRITERS, "outbox", "mainstem"):
        yield f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {', '.join(ROLES)}"
        yield f"REVOKE ALL ON SCHEMA {schema} FROM {', '.join(ROLES)}"
    for role in ROLES:
        yield f"GRANT USAGE ON SCHEMA mainstem, inbox, outbox TO {role}"
        yield f"GRANT SELECT ON mainstem.state TO {role}"
        yield f"GRANT INSERT ON {', '.join(SHARED_INSERTS)} TO {role}"
    for schema, role in WRITERS.items():
        yield f"GRANT USAGE ON SCHEMA {schema} TO {role}"
        yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"
    for role in CONSUMERS:
        yield f"GRANT SELECT, UPDATE ({', '.join(SETTLE)}) ON outbox.entry TO {role}"
    for view, roles in READERS.items():
        yield f"GRANT USAGE ON SCHEMA {view.split('.', maxsplit=1)[0]} TO {', '.join(roles)}"
        yield f"GRANT SELECT ON {view} TO {', '.join(roles)}"
