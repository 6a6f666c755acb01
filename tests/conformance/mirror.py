"""CTMS's tables of Stripe's objects, found in our mirror."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.conformance.comparison import rows_differ

Json = Any
KEY = "stripe_id"


@dataclass(frozen=True)
class Table:
    """Where a table's rows are, and what its columns are called there."""

    query: str
    columns: Mapping[str, str]


def _table(name: str, columns: str, *, is_versioned: bool = True) -> Table:
    # A tombstone of what was never seen is no row at CTMS.
    only = " WHERE NOT (deleted AND created IS NULL)" if is_versioned else ""
    pairs = (word.split(":") for word in columns.split())
    return Table(
        f"SELECT * FROM {name}{only}",
        {KEY: "id", **{theirs: ours or theirs for theirs, ours in pairs}},
    )


_PAYING = "default_payment_method_id:default_payment_method stripe_created:created"

TABLES = {
    # CTMS never changes stripe_created of a customer; it is left out.
    "stripe_customer": _table(
        "stripe.customer",
        "fxa_id:description default_source_id:default_source deleted:"
        " invoice_settings_default_payment_method_id:invoice_settings_default_payment_method",
    ),
    "stripe_price": _table(
        "stripe.price",
        "stripe_product_id:product stripe_created:created active: currency: recurring_interval:"
        " recurring_interval_count: unit_amount:",
    ),
    # The period stands on the items here; a subscription without any has none to compare.
    "stripe_subscription": Table(
        "SELECT sub.*,"
        " max(item.current_period_start) AS period_start, max(item.current_period_end) AS period_end"
        " FROM stripe.subscription AS sub LEFT JOIN stripe.subscription_item AS item"
        " ON item.account = sub.account AND item.subscription = sub.id"
        " WHERE NOT (sub.deleted AND sub.created IS NULL) GROUP BY sub.account, sub.id",
        {
            KEY: "id",
            "stripe_customer_id": "customer",
            "default_payment_method_id": "default_payment_method",
            "default_source_id": "default_source",
            "stripe_created": "created",
            "current_period_start": "period_start",
            "current_period_end": "period_end",
            **{
                name: name
                for name in ("cancel_at_period_end", "canceled_at", "ended_at", "start_date", "status")
            },
        },
    ),
    "stripe_subscription_item": _table(
        "stripe.subscription_item",
        "stripe_subscription_id:subscription stripe_price_id:price stripe_created:created",
        is_versioned=False,
    ),
    # CTMS loses default_source_id of invoices; it is left out.
    "stripe_invoice": _table(
        "stripe.invoice", f"stripe_customer_id:customer {_PAYING} currency: total: status:"
    ),
    "stripe_invoice_line_item": _table(
        "stripe.invoice_line",
        "stripe_invoice_id:invoice stripe_type:type stripe_price_id:price stripe_invoice_item_id:invoice_item"
        " stripe_subscription_id:subscription stripe_subscription_item_id:subscription_item"
        " amount: currency:",
        is_versioned=False,
    ),
}

PERIOD = ("current_period_start", "current_period_end")


async def differs(
    connection: Any, expected: Mapping[str, Sequence[Mapping[str, Json]]], whole: set[str], now: datetime
) -> str | None:
    """Compare every table: all rows, but of customers those that are expected.

    Args:
        connection: ours, as the owner.
        expected: rows by CTMS's name of the table; one that is not named has none.
        whole: customers who came once more after they were deleted, which CTMS forgets and we do not.
        now: the world's time.
    """
    if unknown := sorted(expected.keys() - TABLES.keys()):
        return f"stripe_rows: there is no counterpart of {unknown[0]}"
    for name, table in TABLES.items():
        ours = [_renamed(table, row) for row in await connection.fetch(table.query)]
        theirs = [_comparable(table, row) for row in expected.get(name, [])]
        if name == "stripe_customer":
            names = {row[KEY] for row in theirs}
            ours = [row for row in ours if row[KEY] in names]
            theirs = [_without_deleted(row) if row[KEY] in whole else row for row in theirs]
        if name == "stripe_subscription":
            theirs = _with_known_periods(theirs, ours)
        if difference := rows_differ(theirs, ours, KEY, now):
            return f"stripe_rows: {name}: {difference}"
    return None


def _renamed(table: Table, row: Mapping[str, Any]) -> dict[str, Json]:
    return {theirs: _plain(row[ours]) for theirs, ours in table.columns.items()}


def _plain(value: Any) -> Json:
    return value.isoformat() if isinstance(value, datetime) else value


def _comparable(table: Table, row: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in row.items() if name in table.columns}


def _without_deleted(row: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in row.items() if name != "deleted"}


def _with_known_periods(
    theirs: Sequence[Mapping[str, Json]], ours: Sequence[Mapping[str, Json]]
) -> list[dict[str, Json]]:
    without = {row[KEY] for row in ours if row[PERIOD[1]] is None}
    return [
        {name: value for name, value in row.items() if name not in PERIOD or row[KEY] not in without}
        for row in theirs
    ]
