"""CTMS's tables of Stripe's objects, compared row by row and column by column with the mirror."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.conformance.case import CaseError
from tests.conformance.comparison import instant_of, rows_differ
from tests.conformance.ctms.payloads import Payload, Payloads
from tests.conformance.verdict import Notes

Json = Any
Row = Mapping[str, Json]
KEY = "stripe_id"
CUSTOMER, SUBSCRIPTION = "stripe_customer", "stripe_subscription"
PERIOD = ("current_period_start", "current_period_end")

STALE = {
    (CUSTOMER, "stripe_created"): "created",
    ("stripe_invoice_line_item", "stripe_subscription_item_id"): "subscription_item",
}
"""Columns that an update leaves at CTMS, and their names in a payload."""


@dataclass(frozen=True)
class Table:
    """Where a table's rows are, its columns' names there, and what its objects are called in payloads."""

    kind: str
    query: str
    columns: Mapping[str, str]


def _table(kind: str, name: str, columns: str, *, is_versioned: bool = True) -> Table:
    # A tombstone of an object that was never seen is no row at CTMS.
    only = " WHERE NOT (deleted AND created IS NULL)" if is_versioned else ""
    pairs = (word.split(":") for word in columns.split())
    return Table(
        kind,
        f"SELECT * FROM {name}{only}",
        {KEY: "id", **{theirs: ours or theirs for theirs, ours in pairs}},
    )


_PAYING = (
    "default_payment_method_id:default_payment_method default_source_id:default_source stripe_created:created"
)

TABLES = {
    CUSTOMER: _table(
        "customer",
        "stripe.customer",
        "fxa_id:description default_source_id:default_source deleted: stripe_created:created"
        " invoice_settings_default_payment_method_id:invoice_settings_default_payment_method",
    ),
    "stripe_price": _table(
        "price",
        "stripe.price",
        "stripe_product_id:product stripe_created:created active: currency: recurring_interval:"
        " recurring_interval_count: unit_amount:",
    ),
    # The period stands on the items here.
    SUBSCRIPTION: Table(
        "subscription",
        "SELECT sub.*,"
        " max(item.current_period_start) AS current_period_start,"
        " max(item.current_period_end) AS current_period_end"
        " FROM stripe.subscription AS sub LEFT JOIN stripe.subscription_item AS item"
        " ON item.account = sub.account AND item.subscription = sub.id"
        " WHERE NOT (sub.deleted AND sub.created IS NULL) GROUP BY sub.account, sub.id",
        {
            KEY: "id",
            "stripe_customer_id": "customer",
            "default_payment_method_id": "default_payment_method",
            "default_source_id": "default_source",
            "stripe_created": "created",
            **{
                name: name
                for name in (
                    *PERIOD,
                    *("cancel_at_period_end", "canceled_at", "ended_at", "start_date", "status"),
                )
            },
        },
    ),
    "stripe_subscription_item": _table(
        "subscription_item",
        "stripe.subscription_item",
        "stripe_subscription_id:subscription stripe_price_id:price stripe_created:created",
        is_versioned=False,
    ),
    "stripe_invoice": _table(
        "invoice", "stripe.invoice", f"stripe_customer_id:customer {_PAYING} currency: total: status:"
    ),
    "stripe_invoice_line_item": _table(
        "line_item",
        "stripe.invoice_line",
        "stripe_invoice_id:invoice stripe_type:type stripe_price_id:price stripe_invoice_item_id:invoice_item"
        " stripe_subscription_id:subscription stripe_subscription_item_id:subscription_item"
        " amount: currency:",
        is_versioned=False,
    ),
}


def check(expected: Mapping[str, Sequence[Row]]) -> None:
    """Pass if every table and column is one of CTMS's.

    Raises:
        CaseError: one is not.
    """
    for name, rows in expected.items():
        if name not in TABLES:
            raise CaseError(f"no case file: unknown member final.stripe_rows.{name}")
        for row in rows:
            if unknown := sorted(row.keys() - TABLES[name].columns.keys()):
                raise CaseError(f"no case file: unknown member final.stripe_rows.{name}.{unknown[0]}")


class Mirror:
    """Comparison of CTMS's rows with ours.

    Args:
        payloads: all objects of the case, which show where CTMS's own faults explain a difference.
        notes: takes the deviations, and the columns that the case does not give.
        now: the world's time.
    """

    def __init__(self, payloads: Payloads, notes: Notes, now: datetime) -> None:
        self._payloads = payloads
        self._notes = notes
        self._now = now

    async def differs(self, connection: Any, expected: Mapping[str, Sequence[Row]]) -> str | None:
        """Compare all rows of every table; a table that the case does not name has none."""
        for name, table in TABLES.items():
            ours = [_renamed(table, row) for row in await connection.fetch(table.query)]
            if difference := self.table_differs(name, expected.get(name, []), ours):
                return f"stripe_rows: {name}: {difference}"
        return None

    def table_differs(self, name: str, expected: Sequence[Row], ours: Sequence[Row]) -> str | None:
        """Compare all rows of one table, in the columns that the case gives; pure."""
        theirs = {row[KEY]: row for row in expected}
        found: list[Row] = []
        for row in ours:
            their = theirs.get(row[KEY])
            if their is not None:
                found.append(self._allowed(name, their, row))
            elif name == CUSTOMER and self._is_replaced(row, expected):
                self._notes.deviate("kept_customer")
            else:
                found.append(row)
        return rows_differ(expected, found, KEY, self._now)

    def _allowed(self, name: str, theirs: Row, ours: Row) -> Row:
        """Return our row with their value in each column whose deviation is documented."""
        if missing := sorted(ours.keys() - theirs.keys()):
            self._notes.not_compared.append(f"{name}.{', '.join(missing)} (not in the case)")
        sent = self._payloads.all(TABLES[name].kind, theirs[KEY])
        row: dict[str, Json] = {}
        for column, value in theirs.items():
            found = ours[column]
            is_same = found == value or (isinstance(found, datetime) and instant_of(value) == found)
            deviation = None if is_same or not sent else _deviation(name, column, value, found, sent)
            if deviation is not None:
                self._notes.deviate(deviation)
            row[column] = value if is_same or deviation is not None else found
        return row

    def _is_replaced(self, row: Row, expected: Sequence[Row]) -> bool:
        """Whether a customer lost its owner to one that the case expects, and stands as it was sent last."""
        sent = self._payloads.all("customer", row[KEY])
        whole = [one for one in sent if not one.get("deleted")]
        if not whole or row["fxa_id"] not in [one.get("fxa_id") for one in expected]:
            return False
        last = whole[-1]
        as_sent = {
            "fxa_id": last["description"],
            "default_source_id": last["default_source"],
            "invoice_settings_default_payment_method_id": last["invoice_settings"]["default_payment_method"],
            "stripe_created": _as_column(last["created"]),
            "deleted": bool(sent[-1].get("deleted", False)),
        }
        return as_sent == {name: value for name, value in row.items() if name != KEY}


def _renamed(table: Table, row: Mapping[str, Any]) -> dict[str, Json]:
    return {theirs: row[ours] for theirs, ours in table.columns.items()}


def _deviation(name: str, column: str, theirs: Json, ours: Json, sent: Sequence[Payload]) -> str | None:
    """Return the documented deviation that explains a column's difference, None if none does."""
    explains = {
        "stale_column": (name, column) in STALE and _is_stale(STALE[name, column], theirs, ours, sent),
        "lost_default_source": (name, column) == ("stripe_invoice", "default_source_id")
        and theirs is None
        and ours == sent[-1].get("default_source"),
        "currency_case": column == "currency"
        and len(sent) > 1
        and theirs == sent[-1].get("currency")
        and str(theirs).lower() == ours,
        "undeleted_customer": (name, column) == (CUSTOMER, "deleted")
        and (theirs, ours, bool(sent[-1].get("deleted"))) == (True, False, False)
        and any(one.get("deleted") is True for one in sent),
        "period_on_items": name == SUBSCRIPTION
        and column in PERIOD
        and ours is None
        and instant_of(theirs) == _as_column(sent[-1].get(column))
        and not sent[-1].get("items", {}).get("data"),
    }
    return next((deviation for deviation, is_it in explains.items() if is_it), None)


def _is_stale(key: str, theirs: Json, ours: Json, sent: Sequence[Payload]) -> bool:
    """Whether the case has the value of the first payload, and we that of the last whole one."""
    values = [_as_column(one[key]) for one in sent if key in one]
    return bool(values) and (instant_of(theirs) or theirs) == values[0] and ours == values[-1]


def _as_column(value: Json) -> Json:
    """Return a payload's value as a column has it: only times are integers here."""
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else value
