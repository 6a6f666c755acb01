"""Calls to Acoustic beside those that a case expects; pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

from tests.conformance.comparison import differs, rows_differ
from tests.conformance.ctms.payloads import TIME
from tests.conformance.verdict import Notes

Json = Any
Row = Mapping[str, str | None]
Ties = Mapping[tuple[str, str], Sequence[Mapping[str, str]]]
"""Alternatives for a product of a contact: the columns of each tied entry."""

TABLES = {"1": "main", "9": "newsletter", "10": "product", "11": "waitlist"}
MINUS_ONE = ("amount", "interval_count")
"""Columns of numbers, in which -1 stands for none."""

UPSERT = "InsertUpdateRelationalTable"
ABOUT = ("call", "sync_fields", "created_from", "update_if_found", "timeout")
RECIPIENT = "AddRecipient"


def of_contacts(
    expected: Sequence[Mapping[str, Json]],
    received: Sequence[dict[str, Json]],
    ties: Ties,
    notes: Notes,
    now: datetime,
) -> str | None:
    """Compare the calls of a window exactly, those of each contact in order."""
    theirs, ours = _by_contact(map(_expected, expected)), _by_contact(received)
    if len(theirs) > 1:
        notes.deviate("contacts_side_by_side")
    for contact in sorted(theirs.keys() | ours.keys()):
        wanted = theirs.get(contact, [])
        calls = [_settled(call, wanted, ties, notes) for call in ours.get(contact, [])]
        found = [_given(call, their, notes) for call, their in zip_longest(calls, wanted) if call]
        if difference := differs(wanted, found, now, f"requests of {contact}"):
            return difference
    return None


def of_products(
    expected: Sequence[Mapping[str, Json]],
    received: Sequence[dict[str, Json]],
    ties: Ties,
    notes: Notes,
    now: datetime,
) -> str | None:
    """Compare the rows of the product table, of each contact in the order of their products."""
    theirs = [_blank(row) for row in expected]
    calls = [call for call in received if call["table"] == "product"]
    for call in calls:
        if call["call"] != UPSERT:
            return f"{call['call']} of the product table is too much"
        products = [str(row.get("product_id")) for row in call["rows"]]
        if products != sorted(products):
            return f"the rows are not in the order of their products: {products}"
    rows = [_untied(row, theirs, ties, notes) for call in calls for row in call["rows"]]
    return rows_differ([_keyed(row) for row in theirs], [_keyed(row) for row in rows], "key", now)


def as_calls(received: Iterable[Mapping[str, Json]], timeout: float) -> list[dict[str, Json]]:
    """Return what the sandbox's Acoustic received in the terms of a case; `timeout` is sync's setting."""
    return [_received(call, timeout) for call in received]


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
            return datetime.fromisoformat(value).astimezone(UTC).strftime(TIME)
        except ValueError:
            return value
    return str(value)


def table_of(request: Mapping[str, Json]) -> str:
    """Return the name of the table that an expected call writes."""
    number = str(request.get("list_id") or request.get("table_id"))
    return TABLES.get(number, number)


def _expected(request: Mapping[str, Json]) -> dict[str, Json]:
    rows = [request["columns"]] if "columns" in request else request["rows"]
    about = {name: request[name] for name in ABOUT if name in request}
    return {**about, "table": table_of(request), "rows": [_blank(row) for row in rows]}


def _received(call: Mapping[str, Json], timeout: float) -> dict[str, Json]:
    about = {"call": call["operation"], "table": call["table"], "rows": call["rows"], "timeout": timeout}
    if call["operation"] != RECIPIENT:
        return about
    return {**about, **{name: call[name] for name in ("sync_fields", "created_from", "update_if_found")}}


def _by_contact(calls: Iterable[dict[str, Json]]) -> dict[str, list[dict[str, Json]]]:
    found: dict[str, list[dict[str, Json]]] = {}
    for call in calls:
        contact = call["rows"][0].get("email_id", "") if call["rows"] else ""
        found.setdefault(contact, []).append(call)
    return found


def _given(call: dict[str, Json], their: Mapping[str, Json] | None, notes: Notes) -> dict[str, Json]:
    """Return a call without what the case does not give of it, but its rows."""
    missing = [name for name in ABOUT if their is not None and name in call and name not in their]
    notes.not_compared += [f"acoustic_requests.{name} (not in the case)" for name in missing]
    return {name: value for name, value in call.items() if name not in missing}


def _settled(
    call: dict[str, Json], wanted: Sequence[Mapping[str, Json]], ties: Ties, notes: Notes
) -> dict[str, Json]:
    if call["table"] != "product":
        return call
    theirs = [row for one in wanted if one["table"] == "product" for row in one["rows"]]
    return {**call, "rows": [_untied(row, theirs, ties, notes) for row in call["rows"]]}


def _untied(row: Row, expected: Sequence[Row], ties: Ties, notes: Notes) -> Row:
    """Return the expected row in place of ours if both show one of the tied entries, else ours."""
    key = (str(row.get("email_id")), str(row.get("product_id")))
    alternatives = ties.get(key, [])
    theirs = next((one for one in expected if (one.get("email_id"), one.get("product_id")) == key), None)
    if theirs is None or row == theirs or row.keys() != theirs.keys():
        return row
    is_tied = all(any(_shows(one, tied) for tied in alternatives) for one in (row, theirs))
    depends = {*alternatives[0]} if alternatives else set()
    is_alike = all(row[name] == theirs[name] for name in row if name not in depends)
    if not (is_tied and is_alike):
        return row
    notes.deviate("tied_entry")
    return theirs


def _shows(row: Row, tied: Mapping[str, str]) -> bool:
    return all(row.get(name) == value for name, value in tied.items())


def _blank(row: Mapping[str, Json]) -> dict[str, Json]:
    """Return the row with an empty text for each absent value, and its currency in lower case."""
    blank = {name: "" if value is None else value for name, value in row.items()}
    if isinstance(blank.get("currency"), str):
        # Specification of the product rows (2.5): the currency is in lower case.
        blank["currency"] = blank["currency"].lower()
    return blank


def _keyed(row: Mapping[str, Json]) -> dict[str, Json]:
    return {**row, "key": f"{row.get('email_id')} {row.get('product_id')}"}
