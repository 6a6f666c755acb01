"""Tables of the mirror as data: names, columns and their types, from which its SQL is made (stop 4).

They repeat `mainstem.common.models.stripe`, which the hot path does not import; a test compares the two.
"""

from dataclasses import dataclass

TEXT = "varchar"
TIME = "timestamptz"
WHOLE = "integer"
AMOUNT = "bigint"
FLAG = "boolean"
JSON = "jsonb"

VERSION = {"epoch": WHOLE, "at": TIME, "rank": "smallint", "key": TEXT}
KEY = {"account": TEXT, "id": TEXT}
MISSING = "missing"
"""Column of the kinds that a provider shows even when they are deleted: it denied having the object."""
COMMON = {"livemode": FLAG, "created": TIME}


@dataclass(frozen=True, eq=False)
class ChildTable:
    """Rows that come and go with a parent: `parent` is the column with its id.

    Where a row may also come alone, `is_lone`, it has the version of the copy that last changed it.
    """

    name: str
    parent: str
    columns: dict[str, str]
    is_lone: bool = False

    @property
    def all_columns(self) -> dict[str, str]:
        """Every column of the table."""
        return {**KEY, **(VERSION if self.is_lone else {}), self.parent: TEXT, **self.columns}


@dataclass(frozen=True, eq=False)
class Table:
    """Rows with a version of their own; `incomplete` says in which column that not all children were seen."""

    name: str
    columns: dict[str, str]
    child: ChildTable | None = None
    incomplete: str | None = None

    @property
    def all_columns(self) -> dict[str, str]:
        """Every column of the table."""
        incomplete = {} if self.incomplete is None else {self.incomplete: FLAG}
        return {**KEY, **VERSION, "deleted": FLAG, **COMMON, **self.columns, **incomplete}


CUSTOMER = Table(
    "stripe.customer",
    {
        "description": TEXT,
        "email": TEXT,
        "name": TEXT,
        "default_source": TEXT,
        "invoice_settings_default_payment_method": TEXT,
        MISSING: FLAG,
        "metadata": JSON,
    },
)
PRODUCT = Table("stripe.product", {"name": TEXT, "active": FLAG, "metadata": JSON})
PRICE = Table(
    "stripe.price",
    {
        "product": TEXT,
        "active": FLAG,
        "currency": TEXT,
        "unit_amount": AMOUNT,
        "type": TEXT,
        "recurring_interval": TEXT,
        "recurring_interval_count": WHOLE,
        "metadata": JSON,
    },
)
SUBSCRIPTION = Table(
    "stripe.subscription",
    {
        "customer": TEXT,
        "status": TEXT,
        "currency": TEXT,
        "collection_method": TEXT,
        "default_payment_method": TEXT,
        "default_source": TEXT,
        "latest_invoice": TEXT,
        "start_date": TIME,
        "trial_start": TIME,
        "trial_end": TIME,
        "cancel_at": TIME,
        "cancel_at_period_end": FLAG,
        "canceled_at": TIME,
        "ended_at": TIME,
        "paused_at": TIME,
        "paused_reason": TEXT,
        "metadata": JSON,
    },
    child=ChildTable(
        "stripe.subscription_item",
        "subscription",
        {
            "created": TIME,
            "price": TEXT,
            "quantity": AMOUNT,
            "current_period_start": TIME,
            "current_period_end": TIME,
        },
        is_lone=True,
    ),
    incomplete="incomplete_items",
)
INVOICE = Table(
    "stripe.invoice",
    {
        "customer": TEXT,
        "subscription": TEXT,
        "status": TEXT,
        "currency": TEXT,
        "total": AMOUNT,
        "amount_due": AMOUNT,
        "amount_paid": AMOUNT,
        "amount_remaining": AMOUNT,
        "attempt_count": WHOLE,
        "billing_reason": TEXT,
        "collection_method": TEXT,
        "default_payment_method": TEXT,
        "default_source": TEXT,
        "due_date": TIME,
        "number": TEXT,
        "period_start": TIME,
        "period_end": TIME,
        "status_details_uncollectible_reason": TEXT,
        "status_transitions_finalized_at": TIME,
        "status_transitions_marked_uncollectible_at": TIME,
        "metadata": JSON,
    },
    child=ChildTable(
        "stripe.invoice_line",
        "invoice",
        {
            "type": TEXT,
            "price": TEXT,
            "product": TEXT,
            "invoice_item": TEXT,
            "subscription": TEXT,
            "subscription_item": TEXT,
            "amount": AMOUNT,
            "currency": TEXT,
            "quantity": AMOUNT,
            "period_start": TIME,
            "period_end": TIME,
        },
    ),
    incomplete="incomplete_lines",
)

TABLES = {
    "product": PRODUCT,
    "price": PRICE,
    "customer": CUSTOMER,
    "subscription": SUBSCRIPTION,
    "invoice": INVOICE,
}
"""Every table by its provider's word for the object, in the one order in which they are written."""

PARENTS = {"subscription_item": SUBSCRIPTION}
"""Kinds of child objects that may come without their parent, and the parent's table."""
