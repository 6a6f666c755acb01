"""What Acoustic was sent, beside what a case expects; pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.conformance.comparison import differs, rows_differ
from tests.conformance.skips import TABLES

Json = Any
Row = Mapping[str, str | None]

MINUS_ONE = ("amount", "interval_count")
"""Columns of numbers, in which -1 stands for none."""

_TIME = "%m/%d/%Y %H:%M:%S"


def of_contacts(
    expected: Sequence[Mapping[str, Json]], received: Sequence[Mapping[str, Json]], now: datetime
) -> str | None:
    """Compare the requests of a window, those of each contact in order: contacts are sent side by side."""
    theirs, ours = _by_contact(map(_expected, expected)), _by_contact(map(_received, received))
    for contact in sorted(theirs.keys() | ours.keys()):
        difference = differs(theirs.get(contact, []), ours.get(contact, []), now, f"requests of {contact}")
        if difference is not None:
            return difference
    return None


def of_products(
    expected: Sequence[Mapping[str, Json]], received: Sequence[Mapping[str, Json]], now: datetime
) -> str | None:
    """Compare the rows of the product table, whichever requests they came in."""
    theirs = [_keyed(_blank(row)) for row in expected]
    ours = [_keyed(row) for row in product_rows(received)]
    return rows_differ(theirs, ours, "key", now)


def product_rows(received: Sequence[Mapping[str, Json]]) -> list[Row]:
    """Return the rows of the product table that were written."""
    return [
        row
        for request in received
        if (request["operation"], request["table"]) == ("InsertUpdateRelationalTable", "product")
        for row in request["rows"]
    ]


def wire(email_id: str, product: Mapping[str, Json]) -> dict[str, str]:
    """Return a product as a row of the product table, all its values text."""
    return {"email_id": email_id} | {name: _wire(name, value) for name, value in product.items()}


def _wire(name: str, value: Json) -> str:
    if value is None:
        return "-1" if name in MINUS_ONE else ""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, str) and "T" in value:
        try:
            return datetime.fromisoformat(value).strftime(_TIME)
        except ValueError:
            return value
    return str(value)


def _expected(request: Mapping[str, Json]) -> dict[str, Json]:
    """Return a request without what the stand-in does not tell, such as CREATED_FROM and the timeout."""
    number = str(request.get("list_id") or request.get("table_id"))
    rows = [request["columns"]] if "columns" in request else request["rows"]
    return {
        "call": request["call"],
        "table": TABLES.get(number, number),
        "rows": [_blank(row) for row in rows],
        **({"sync_fields": request["sync_fields"]} if "sync_fields" in request else {}),
    }


def _received(request: Mapping[str, Json]) -> dict[str, Json]:
    rows = request["rows"]
    if request["table"] == "product":
        rows = sorted(rows, key=lambda row: str(row.get("product_id")))
    return {
        "call": request["operation"],
        "table": request["table"],
        "rows": rows,
        "sync_fields": request["sync_fields"],
    }


def _by_contact(requests: Any) -> dict[str, list[dict[str, Json]]]:
    found: dict[str, list[dict[str, Json]]] = {}
    for request in requests:
        found.setdefault(request["rows"][0].get("email_id", ""), []).append(request)
    return found


def _blank(row: Mapping[str, Json]) -> dict[str, Json]:
    """Return the row with an empty text for every value that is absent."""
    return {name: "" if value is None else value for name, value in row.items()}


def _keyed(row: Mapping[str, Json]) -> dict[str, Json]:
    return {**row, "key": f"{row['email_id']} {row['product_id']}"}
