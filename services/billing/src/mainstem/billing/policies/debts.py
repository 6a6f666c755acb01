"""Debts: what a customer owes by an invoice, and since when; pure, decided by one table.

An invoice is a debt once payment was asked for in vain: an attempt failed, or a due date passed. Its status
alone says neither. Paused collection decides nothing by itself: what is billed during a pause is never asked
for, and what was billed before is retried.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

SENT = "send_invoice"
FIRST = "subscription_create"
PAUSED = "subscription_paused"
ASKED_FOR = frozenset({"open", "uncollectible"})
STARTED = frozenset({"trialing", "active", "past_due", "unpaid", "paused"})
"""Statuses of a subscription that has started and goes on, paid or not."""


@dataclass(frozen=True, slots=True)
class MirroredInvoice:
    """Invoice as the mirror has it; amounts are in the currency's minor unit."""

    id: str
    status: str | None
    currency: str | None
    amount_due: int | None
    amount_paid: int | None
    amount_remaining: int | None
    attempt_count: int | None
    billing_reason: str | None
    collection_method: str | None
    created: datetime | None
    due_date: datetime | None
    finalized_at: datetime | None
    marked_uncollectible_at: datetime | None
    uncollectible_reason: str | None
    subscription_status: str | None

    @property
    def rest(self) -> int:
        """Amount left to pay; computed where a row has no `amount_remaining`."""
        if self.amount_remaining is not None:
            return self.amount_remaining
        return (self.amount_due or 0) - (self.amount_paid or 0)


@dataclass(frozen=True, slots=True)
class Debt:
    """An amount in the currency's minor unit, owed since an instant."""

    invoice: str
    amount: int
    currency: str | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class DebtRule:
    """One row of the table: the first that fits a bill decides. `since` is None if nothing is owed."""

    name: str
    fits: Callable[[MirroredInvoice, datetime], bool]
    since: Callable[[MirroredInvoice], datetime | None] | None
    source: str


def _is_not_due(bill: MirroredInvoice, now: datetime) -> bool:
    return bill.due_date is None or now <= bill.due_date


def _was_withdrawn(bill: MirroredInvoice) -> bool:
    """Return whether a sent bill was given up before its due date, as paused collection does at once."""
    if bill.status != "uncollectible" or bill.due_date is None:
        return False
    return bill.marked_uncollectible_at is None or bill.marked_uncollectible_at <= bill.due_date


_OBJECT = "https://docs.stripe.com/api/invoices/object#invoice_object-"

DEBT_RULES = (
    DebtRule(
        "a draft, paid or void",
        lambda bill, _: bill.status not in ASKED_FOR,
        None,
        "https://docs.stripe.com/invoicing/overview#invoice-statuses",
    ),
    DebtRule("nothing is left to pay", lambda bill, _: bill.rest <= 0, None, f"{_OBJECT}amount_remaining"),
    DebtRule(
        "uncollectible since collection was paused",
        lambda bill, _: bill.status == "uncollectible" and bill.uncollectible_reason == PAUSED,
        None,
        "https://docs.stripe.com/changelog/endive/2026-09-30/invoice-uncollectible-status-detail",
    ),
    DebtRule(
        "sent, and not past its due date",
        lambda bill, now: bill.collection_method == SENT and _is_not_due(bill, now),
        None,
        f"{_OBJECT}due_date",
    ),
    DebtRule(
        "sent, and given up before its due date",
        lambda bill, _: bill.collection_method == SENT and _was_withdrawn(bill),
        None,
        "https://docs.stripe.com/billing/subscriptions/pause-payment",
    ),
    DebtRule(
        "sent, and past its due date",
        lambda bill, _: bill.collection_method == SENT,
        lambda bill: bill.due_date,
        "https://docs.stripe.com/api/subscriptions/object#subscription_object-status",
    ),
    DebtRule(
        "a first bill, while its subscription has not started",
        lambda bill, _: bill.billing_reason == FIRST and bill.subscription_status not in STARTED,
        None,
        "https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses",
    ),
    DebtRule(
        "never attempted",
        lambda bill, _: not bill.attempt_count,
        None,
        f"{_OBJECT}attempted",
    ),
    DebtRule(
        "attempted in vain, whether retries go on, are over or collection is paused now",
        lambda _bill, _now: True,
        # Stripe attempts an invoice when it finalizes it, and keeps no instant of the attempt.
        lambda bill: bill.finalized_at or bill.created,
        "https://docs.stripe.com/invoicing/automatic-collection",
    ),
)
"""The table, in its order."""


def find_debt(bill: MirroredInvoice, now: datetime) -> Debt | None:
    """Return what is owed by a bill, None if nothing is; `now` is world time."""
    row = next(row for row in DEBT_RULES if row.fits(bill, now))
    return None if row.since is None else Debt(bill.id, bill.rest, bill.currency, row.since(bill))
