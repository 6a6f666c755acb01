"""Mirror of Stripe, read through the versioned views of ingest's schemas."""

from dataclasses import dataclass
from datetime import datetime

from mainstem.billing.accounts.storage import PROVIDER_ACCOUNT
from mainstem.billing.policies.debts import MirroredInvoice
from mainstem.billing.policies.statuses import is_cancelable
from mainstem.common.database.pool import Connection
from mainstem.common.owner import Link

SUBSCRIPTIONS = """
SELECT subscription.id, subscription.status, subscription.trial_end, subscription.cancel_at,
  subscription.cancel_at_period_end, item.name
FROM stripe.v1_subscription AS subscription
LEFT JOIN LATERAL (
  SELECT product.name FROM stripe.v1_subscription_item AS item
  LEFT JOIN stripe.v1_price AS price ON price.account = item.account AND price.id = item.price
  LEFT JOIN stripe.v1_product AS product ON product.account = price.account AND product.id = price.product
  WHERE item.account = subscription.account AND item.subscription = subscription.id
  ORDER BY item.created, item.id LIMIT 1
) AS item ON true
WHERE subscription.account = $1 AND subscription.customer = $2 AND NOT subscription.deleted
ORDER BY subscription.created, subscription.id
"""

OWNED = """
SELECT subscription.status FROM subscription.v1_owner AS owner
CROSS JOIN LATERAL (
  SELECT status FROM stripe.v1_subscription
  WHERE account = owner.account AND customer = owner.customer AND NOT deleted OFFSET 0
) AS subscription
WHERE owner.provider = 'stripe' AND owner.account = $1 AND owner.kind = $2 AND owner.value = $3
  AND NOT owner.deleted
"""
"""`OFFSET 0` holds the planner to look up each customer's subscriptions by its key."""

STATUS = "SELECT status FROM stripe.v1_subscription WHERE account = $1 AND id = $2 AND NOT deleted"

UNPAID = """
SELECT bill.id, bill.status, bill.currency, bill.amount_due, bill.amount_paid, bill.amount_remaining,
  bill.attempt_count, bill.billing_reason, bill.collection_method, bill.created, bill.due_date,
  bill.status_transitions_finalized_at AS finalized_at,
  bill.status_transitions_marked_uncollectible_at AS marked_uncollectible_at,
  bill.status_details_uncollectible_reason AS uncollectible_reason, subscription.status AS subscription_status
FROM stripe.v1_invoice AS bill
LEFT JOIN stripe.v1_subscription AS subscription
  ON subscription.account = bill.account AND subscription.id = bill.subscription
WHERE bill.account = $1 AND bill.customer = $2 AND bill.status IN ('open', 'uncollectible')
  AND NOT bill.deleted
ORDER BY bill.created, bill.id
"""


@dataclass(frozen=True, slots=True)
class MirroredSubscription:
    """Subscription in the mirror; `name` is that of its first item's product."""

    id: str
    name: str | None
    status: str | None
    trial_end: datetime | None
    cancel_at: datetime | None
    cancel_at_period_end: bool | None

    @property
    def is_cancelable(self) -> bool:
        """Whether it runs and no end is set by either signal: flexible billing mode sets `cancel_at` alone.

        Source: https://docs.stripe.com/billing/subscriptions/billing-mode/compare.
        """
        return is_cancelable(self.status, self.cancel_at) and not self.cancel_at_period_end


async def list_subscriptions(connection: Connection, customer: str | None) -> list[MirroredSubscription]:
    """Return a customer's subscriptions, the oldest first."""
    if customer is None:
        return []
    rows = await connection.fetch(SUBSCRIPTIONS, PROVIDER_ACCOUNT, customer)
    return [MirroredSubscription(**dict(row)) for row in rows]


async def list_statuses(connection: Connection, owner: Link) -> list[str | None]:
    """Return the statuses of the subscriptions of all customers that Stripe has for an owner.

    An application, or a person at Stripe's dashboard, may have made customers beside the account's own.
    """
    return [row["status"] for row in await connection.fetch(OWNED, PROVIDER_ACCOUNT, *owner)]


async def find_status(connection: Connection, subscription: str) -> str | None:
    """Return a subscription's status, None if the mirror has no such subscription."""
    status: str | None = await connection.fetchval(STATUS, PROVIDER_ACCOUNT, subscription)
    return status


async def list_unpaid_invoices(connection: Connection, customer: str | None) -> list[MirroredInvoice]:
    """Return a customer's unpaid invoices, due or not, the oldest first."""
    if customer is None:
        return []
    return [
        MirroredInvoice(**dict(row)) for row in await connection.fetch(UNPAID, PROVIDER_ACCOUNT, customer)
    ]
