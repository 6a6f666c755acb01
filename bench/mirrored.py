"""Subscriptions as ingest would have mirrored them, written by a few statements."""

from datetime import UTC, datetime

from bodies import PRODUCTS, START

from mainstem.common.database.pool import Connection
from mainstem.ingest.subscriptions.sets import MAINSTEM
from mainstem.ingest.subscriptions.storage import initialise

EMPTY = """
TRUNCATE stripe.customer, stripe.subscription, stripe.subscription_item, stripe.revision, subscription.owner,
  subscription.product_subscription, outbox.entry, inbox.event
"""

MIRRORED = """
INSERT INTO stripe.product (account, id, epoch, at, rank, key, livemode, created, name, active, metadata)
SELECT 'default', 'prod_' || n, 0, $1, 1, 'evt_0', false, $1, 'A product', true, '{{}}'
FROM generate_series(0, {products} - 1) AS n ON CONFLICT DO NOTHING;

INSERT INTO stripe.price (account, id, epoch, at, rank, key, livemode, created, product, active, currency,
  unit_amount, type, recurring_interval, recurring_interval_count, metadata)
SELECT 'default', 'price_' || n, 0, $1, 1, 'evt_0', false, $1, 'prod_' || n, true, 'usd', 999, 'recurring',
  'month', 1, '{{}}'
FROM generate_series(0, {products} - 1) AS n ON CONFLICT DO NOTHING;

INSERT INTO stripe.customer (account, id, epoch, at, rank, key, livemode, created, description, email,
  metadata)
SELECT 'default', 'cus_' || n, 0, $1, 1, 'evt_0', false, $1, 'owner-' || n, 'cus_' || n || '@example.com',
  '{{}}'
FROM generate_series(1, {last} + {further}) AS n;

INSERT INTO subscription.owner (provider, account, customer, kind, value, created)
SELECT 'stripe', 'default', 'cus_' || n, 'fxa_id', 'owner-' || n, $1
FROM generate_series(1, {last} + {further}) AS n;

INSERT INTO stripe.subscription (account, id, epoch, at, rank, key, livemode, created, customer, status,
  currency, collection_method, latest_invoice, start_date, cancel_at_period_end, metadata, incomplete_items)
SELECT 'default', 'sub_' || n, 0, $1, 0, 'evt_0', false, $1, 'cus_' || n, 'active', 'usd',
  'charge_automatically', 'in_' || n, $1, false, '{{}}', false
FROM generate_series(1, {last}) AS n;

INSERT INTO stripe.subscription_item (account, id, epoch, at, rank, key, subscription, created, price,
  quantity, current_period_start, current_period_end)
SELECT 'default', 'si_' || n, 0, $1, 0, 'evt_0', 'sub_' || n, $1, 'price_' || n % {products}, 1, $1,
  $1::timestamptz + interval '30 days'
FROM generate_series(1, {last}) AS n;

INSERT INTO subscription.product_subscription (owner_kind, owner_value, payment_service, account, product_id,
  customer, subscription_id, item_id, segment, changed, sub_count, price_id, currency, amount, "interval",
  interval_count, status, created, start, current_period_start, current_period_end, cancel_at_period_end,
  rules, derived_at)
SELECT 'fxa_id', 'owner-' || n, 'stripe', 'default', 'prod_' || n % {products}, 'cus_' || n, 'sub_' || n,
  'si_' || n, 'active', $1, 1, 'price_' || n % {products}, 'usd', 999, 'month', 1, 'active', $1, $1, $1,
  $1::timestamptz + interval '30 days', false, 'mainstem', $1
FROM generate_series(1, {last}) AS n
"""


async def mirror_subscriptions(connection: Connection, number: int, *, further: int = 0) -> None:
    """Leave the mirror with so many subscriptions, each of a customer; `further` customers have none yet."""
    await connection.execute(EMPTY)
    began = datetime.fromtimestamp(START, UTC)
    script = MIRRORED.format(products=PRODUCTS, last=number, further=further)
    for statement in script.split(";\n"):
        await connection.execute(statement, began)
    # Everything above is as the rules would have it, so that no worker begins with a walk over it.
    await initialise(connection, MAINSTEM, began)
    await connection.execute("UPDATE subscription.rule_activation SET completed_at = activated_at")
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
